// Panels without a time axis, by Grafana's own components.
import { getDisplayValueAlignmentFactors, getFieldDisplayValues, VizOrientation } from '@grafana/data';
import { BarGauge, BigValue, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

function valuesOf(panel, frames, theme, timeZone, sparkline) {
  return getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data: frames,
    sparkline,
    timeZone,
  });
}

export function Figures({ panel, frames, theme, timeZone, width, height }) {
  const { options } = panel;
  const graph = options.graphMode !== 'none';
  return (
    <VizRepeater
      getValues={() => valuesOf(panel, frames, theme, timeZone, graph)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width: inner, height: tall, count, alignmentFactors }) => (
        <BigValue
          value={value.display}
          count={count}
          sparkline={value.sparkline}
          colorMode={options.colorMode}
          graphMode={options.graphMode}
          justifyMode={options.justifyMode}
          textMode={options.textMode}
          wideLayout={options.wideLayout}
          alignmentFactors={alignmentFactors}
          width={inner}
          height={tall}
          theme={theme}
        />
      )}
      source={frames}
      itemSpacing={3}
      renderCounter={1}
      autoGrid
      orientation={options.orientation}
      width={width}
      height={height}
    />
  );
}

export function Bars({ panel, frames, theme, timeZone, width, height }) {
  const { options } = panel;
  return (
    <VizRepeater
      getValues={() => valuesOf(panel, frames, theme, timeZone, false)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width: inner, height: tall, alignmentFactors }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          theme={theme}
          width={inner}
          height={tall}
          orientation={options.orientation}
          itemSpacing={10}
          lcdCellWidth={12}
          displayMode={options.displayMode}
          showUnfilled={options.showUnfilled}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          alignmentFactors={alignmentFactors}
        />
      )}
      source={frames}
      itemSpacing={10}
      renderCounter={1}
      orientation={options.orientation ?? VizOrientation.Horizontal}
      minVizHeight={options.minVizHeight ?? 16}
      minVizWidth={options.minVizWidth ?? 8}
      maxVizHeight={options.maxVizHeight ?? 300}
      width={width}
      height={height}
    />
  );
}

export function Rows({ panel, frames, width, height }) {
  return (
    <TableNG
      data={frames[0]}
      width={width}
      height={height}
      noHeader={panel.options.showHeader === false}
      showTypeIcons={panel.options.showTypeIcons}
      sortBy={panel.options.sortBy ?? []}
      cellHeight={panel.options.cellHeight}
      structureRev={1}
      enableVirtualization={false}
      resizable
    />
  );
}
