// What a panel's fieldConfig does to its frames: Grafana's own applyFieldOverrides over a registry of the properties
// that our dashboards use. Grafana's server has a larger registry, with an editor for each.
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  FieldConfigOptionsRegistry,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';

const byId = new Map(Object.values(standardTransformers).map((one) => [one.id, one])); // some have two names
standardTransformersRegistry.setInit(() =>
  [...byId.values()].map((one) => ({
    id: one.id,
    name: one.name,
    transformation: () => Promise.resolve(one),
    editor: () => null,
  }))
);

const STANDARD = ['unit', 'decimals', 'min', 'max', 'displayName', 'color', 'thresholds', 'mappings', 'links', 'noValue'];

// What Grafana's plugins add where a dashboard says nothing.
const CUSTOM = {
  timeseries: {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: 0,
    gradientMode: 'none',
    showPoints: 'auto',
    pointSize: 5,
    spanNulls: false,
    insertNulls: false,
    axisPlacement: 'auto',
    axisColorMode: 'text',
    axisBorderShow: false,
    axisGridShow: true,
    axisLabel: '',
    axisCenteredZero: false,
    axisSoftMin: undefined,
    axisSoftMax: undefined,
    scaleDistribution: { type: 'linear' },
    stacking: { mode: 'none', group: 'A' },
    thresholdsStyle: { mode: 'off' },
    hideFrom: { tooltip: false, viz: false, legend: false },
    barAlignment: 0,
    lineStyle: undefined,
    transform: undefined,
    fillBelowTo: undefined,
    lineColor: undefined,
    fillColor: undefined,
    pointColor: undefined,
  },
  'state-timeline': { lineWidth: 0, fillOpacity: 70, hideFrom: { tooltip: false, viz: false, legend: false } },
  heatmap: { scaleDistribution: { type: 'linear' }, hideFrom: { tooltip: false, viz: false, legend: false } },
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false, width: undefined, minWidth: undefined },
  stat: {},
  bargauge: {},
};

/** The types of panel that can be drawn. */
export const TYPES = Object.keys(CUSTOM);

const THRESHOLDS = { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] };

function registry(type) {
  const property = (id, isCustom, path) => ({
    id,
    path,
    name: id,
    isCustom,
    settings: {},
    process: (value) => value,
    shouldApply: () => true,
    override: () => null,
    editor: () => null,
  });
  const custom = Object.keys(CUSTOM[type]).map((path) => property(`custom.${path}`, true, path));
  return new FieldConfigOptionsRegistry(() => [...STANDARD.map((id) => property(id, false, id)), ...custom]);
}

/** The panel's configuration with the defaults of its type; JSON writes the lowest threshold's value as null. */
function completed(panel) {
  const { defaults, overrides } = panel.fieldConfig;
  const thresholds = defaults.thresholds ?? THRESHOLDS;
  const steps = thresholds.steps.map((step) => ({ ...step, value: step.value ?? -Infinity }));
  return {
    overrides,
    defaults: {
      ...defaults,
      color: defaults.color ?? { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' },
      thresholds: { ...thresholds, steps },
      custom: { ...CUSTOM[panel.type], ...defaults.custom },
    },
  };
}

/** Frames after the panel's transformations and overrides, ready to be drawn. */
export async function prepared(panel, frames, theme, timeZone) {
  const changed = panel.transformations?.length
    ? await lastValueFrom(transformDataFrame(panel.transformations, frames))
    : frames;
  const overridden = applyFieldOverrides({
    data: changed,
    fieldConfig: completed(panel),
    fieldConfigRegistry: registry(panel.type),
    replaceVariables: (text) => text,
    theme,
    timeZone,
  });
  cacheFieldDisplayNames(overridden); // tables read a column's name from there
  return overridden;
}
