// Panels with a time axis. Lines are Grafana's TimeSeries; its heatmap and its state timeline are no npm packages, so
// their cells are drawn here, on Grafana's axes.
import { FieldType, formattedValueToString, getDisplayProcessor } from '@grafana/data';
import { TimeSeries, UPlotChart, UPlotConfigBuilder, VizLayout, VizLegend } from '@grafana/ui';
import { interpolateOranges } from 'd3-scale-chromatic';
import { useLayoutEffect, useMemo } from 'react';
import { marking } from './marks.js';

const EMPTY_BELOW = 1e-9; // Grafana's heatmap leaves out cells up to this
const SHADES = 64;
const EXPONENT = 0.5;
const CELL_GAP = 1; // pixels
const TEXT_PADDING = 4; // pixels

export function Lines({ panel, frames, range, timeZone, marks, theme, width, height }) {
  const broken = useMemo(() => frames.map(withGaps), [frames]);
  return (
    <TimeSeries
      frames={broken}
      structureRev={1}
      timeRange={range}
      timeZone={timeZone}
      width={width}
      height={height}
      legend={panel.options.legend}
      options={panel.options}
    >
      {(config) => <Marks config={config} marks={marks} theme={theme} />}
    </TimeSeries>
  );
}

/** Grafana breaks a line where a number is none, and where points are further apart than the query's step. */
function withGaps(frame) {
  const [time, value] = frame.fields;
  const [times, values] = [[], []];
  time.values.forEach((at, index) => {
    if (index && at - time.values[index - 1] > time.config.interval) {
      times.push(time.values[index - 1] + time.config.interval);
      values.push(null);
    }
    times.push(at);
    values.push(Number.isFinite(value.values[index]) ? value.values[index] : null);
  });
  return { ...frame, length: times.length, fields: [{ ...time, values: times }, { ...value, values }] };
}

function Marks({ config, marks, theme }) {
  useLayoutEffect(() => {
    config.addHook('draw', marking(marks, theme));
  }, [config, marks, theme]);
  return null;
}

function timeBuilder(range, timeZone, theme) {
  const builder = new UPlotConfigBuilder(timeZone);
  builder.setPrepData((frames) => frames[0].fields.map((field) => field.values));
  builder.addScale({
    scaleKey: 'x',
    isTime: true,
    orientation: 0,
    direction: 1,
    range: () => [range.from.valueOf(), range.to.valueOf()],
  });
  builder.addAxis({ scaleKey: 'x', isTime: true, placement: 'bottom', timeZone, theme, grid: { show: false } });
  return builder;
}

/** Rows from the bottom up, 0 to ``count``, whatever stands beside them; the numbers themselves are drawn as cells. */
function addRows(builder, count, axis, theme, cells) {
  builder.addScale({ scaleKey: 'y', isTime: false, orientation: 1, direction: 1, range: [0, count] });
  builder.addAxis({ scaleKey: 'y', placement: 'left', theme, grid: { show: false }, ticks: { show: false }, ...axis });
  builder.addSeries({ scaleKey: 'y', theme, pathBuilder: () => null, pointsBuilder: () => null, show: true });
  builder.addHook('drawClear', (plot) => {
    plot.ctx.save();
    plot.ctx.beginPath();
    plot.ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
    plot.ctx.clip();
    cells(plot);
    plot.ctx.restore();
  });
}

export function Heatmap({ panel, frames, range, timeZone, marks, theme, width, height }) {
  const [frame] = frames;
  const [time, ...rows] = frame.fields;
  const most = Math.max(...rows.flatMap((row) => row.values.filter(Number.isFinite)), 0);
  const bound = getDisplayProcessor({
    field: { type: FieldType.number, config: { unit: panel.options.yAxis?.unit ?? panel.fieldConfig.defaults.unit } },
    theme,
  });
  const builder = useMemo(() => {
    const made = timeBuilder(range, timeZone, theme);
    const shown = (index) => {
      const upTo = Number(rows[index].labels.le);
      return Number.isFinite(upTo) ? formattedValueToString(bound(upTo)) : '+Inf';
    };
    // The bound of a bucket stands at its upper edge, as Grafana writes those of Prometheus.
    const every = Math.max(1, Math.ceil((rows.length * 18) / height));
    const splits = rows.map((_, index) => index + 1).filter((edge) => (rows.length - edge) % every === 0);
    const axis = { splits, values: (_, edges) => edges.map((edge) => shown(edge - 1)) };
    addRows(made, rows.length, axis, theme, (plot) => {
      const seconds = time.config.interval;
      rows.forEach((row, index) => {
        const [bottom, top] = [plot.valToPos(index, 'y', true), plot.valToPos(index + 1, 'y', true)];
        row.values.forEach((value, at) => {
          if (!(value > EMPTY_BELOW)) {
            return;
          }
          const [left, right] = [0, seconds].map((more) => plot.valToPos(time.values[at] - seconds + more, 'x', true));
          plot.ctx.fillStyle = shade(value / most);
          plot.ctx.fillRect(left, top, Math.max(1, right - left - CELL_GAP), bottom - top - CELL_GAP);
        });
      });
    });
    made.addHook('draw', marking(marks, theme));
    return made;
  }, [frames, height]);
  const legend = (
    <VizLayout.Legend placement="bottom">
      <Scale most={most} />
    </VizLayout.Legend>
  );
  return (
    <VizLayout width={width} height={height} legend={legend}>
      {(inner, left) => <UPlotChart config={builder} data={[time.values, rows[0].values]} width={inner} height={left} />}
    </VizLayout>
  );
}

/** Dark theme: the more, the brighter. */
function shade(share) {
  const step = Math.round(Math.pow(share, EXPONENT) * (SHADES - 1)) / (SHADES - 1);
  return interpolateOranges(1 - step);
}

function Scale({ most }) {
  const stops = Array.from({ length: 9 }, (_, index) => interpolateOranges(1 - index / 8)).join(', ');
  return (
    <div className="scale">
      <span>0</span>
      <div style={{ background: `linear-gradient(90deg, ${stops})` }} />
      <span>{Number(most.toPrecision(3)).toLocaleString('en')}</span>
    </div>
  );
}

export function States({ panel, frames, range, timeZone, marks, theme, width, height }) {
  const rows = frames.map((frame) => {
    const [time, value] = frame.fields;
    return { name: value.config.displayNameFromDS, stretches: stretches(time, value) };
  });
  const seen = new Map(rows.flatMap((row) => row.stretches.map((one) => [one.text, one.colour])));
  const builder = useMemo(() => {
    const made = timeBuilder(range, timeZone, theme);
    const { rowHeight } = panel.options;
    const axis = {
      splits: rows.map((_, index) => index + 0.5),
      values: (_, middles) => middles.map((middle) => rows[rows.length - middle - 0.5].name),
    };
    addRows(made, rows.length, axis, theme, (plot) =>
      rows.forEach((row, index) => drawn(plot, row, rows.length - index - 0.5, rowHeight, panel, theme))
    );
    made.addHook('draw', marking(marks, theme));
    return made;
  }, [frames]);
  const items = [...seen].map(([label, color]) => ({ label, color, yAxis: 1 }));
  const legend = panel.options.legend?.showLegend === false ? null : (
    <VizLayout.Legend placement="bottom">
      <VizLegend placement="bottom" items={items} displayMode="list" />
    </VizLayout.Legend>
  );
  const data = [frames[0].fields[0].values, frames[0].fields[1].values];
  return (
    <VizLayout width={width} height={height} legend={legend}>
      {(inner, left) => <UPlotChart config={builder} data={data} width={inner} height={left} />}
    </VizLayout>
  );
}

/** Equal values in a row, as one. */
function stretches(time, value) {
  const found = [];
  const step = time.config.interval;
  time.values.forEach((at, index) => {
    const { text, color: colour } = value.display(value.values[index]);
    const last = found.at(-1);
    if (last && last.text === text && at - last.end <= 1.5 * step) {
      last.end = at + step;
    } else {
      if (last && at - last.end <= step) {
        last.end = at;
      }
      found.push({ text, colour, begin: at, end: at + step });
    }
  });
  return found;
}

function drawn(plot, row, middle, rowHeight, panel, theme) {
  const [top, bottom] = [middle + rowHeight / 2, middle - rowHeight / 2].map((y) => plot.valToPos(y, 'y', true));
  const opacity = (panel.fieldConfig.defaults.custom?.fillOpacity ?? 70) / 100;
  const { ctx } = plot;
  ctx.font = `12px ${theme.typography.fontFamily}`;
  ctx.textBaseline = 'middle';
  for (const { text, colour, begin, end } of row.stretches) {
    const [left, right] = [begin, end].map((at) => Math.max(plot.bbox.left, plot.valToPos(at, 'x', true)));
    ctx.globalAlpha = opacity;
    ctx.fillStyle = colour;
    ctx.fillRect(left, top, Math.max(1, right - left), bottom - top);
    ctx.globalAlpha = 1;
    if (ctx.measureText(text).width + 2 * TEXT_PADDING < right - left) {
      ctx.fillStyle = theme.colors.getContrastText(colour, 0.8);
      ctx.fillText(text, left + TEXT_PADDING, (top + bottom) / 2);
    }
  }
}
