// A panel's queries asked of Prometheus, and the answers as Grafana's data frames.
import { FieldType, toDataFrame } from '@grafana/data';
import { plain, stepSeconds } from './choosing.js';

/** Raises Prometheus's own words. */
async function asked(url, path, parameters) {
  const response = await fetch(`${url}/api/v1/${path}`, { method: 'POST', body: new URLSearchParams(parameters) });
  const said = await response.json();
  if (said.status !== 'success') {
    throw new Error(`${said.error}: ${parameters.query}`);
  }
  return said.data.result;
}

/** The series of one query: ``[{metric, values: [[seconds, text], ...]}, ...]``. */
export async function series(source, target, variables, width) {
  const { url, range, scrapeSeconds } = source;
  const step = stepSeconds(range, width, scrapeSeconds, target.interval);
  const query = plain(target.expr, variables, { range, step, scrapeSeconds });
  if (target.instant) {
    const found = await asked(url, 'query', { query, time: range.to.valueOf() / 1000 });
    return { step, found: found.map((one) => ({ metric: one.metric, values: [one.value] })) };
  }
  const [start, end] = [range.from, range.to].map((time) => Math.floor(time.valueOf() / 1000 / step) * step);
  return { step, found: await asked(url, 'query_range', { query, start, end, step }) };
}

export function named(legend, labels) {
  if (legend) {
    return legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? label);
  }
  const { __name__: name = '', ...others } = labels;
  return `${name}{${Object.entries(others).map(([label, value]) => `${label}="${value}"`).join(', ')}}`;
}

const times = (one) => one.values.map(([at]) => at * 1000);
const numbers = (one) => one.values.map(([, text]) => parse(text));

function parse(text) {
  return text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
}

function lines(target, { step, found }) {
  return found.map((one) => {
    const name = named(target.legendFormat, one.metric);
    return toDataFrame({
      refId: target.refId,
      name,
      fields: [
        { name: 'Time', type: FieldType.time, values: times(one), config: { interval: step * 1000 } },
        {
          name: 'Value',
          type: FieldType.number,
          values: numbers(one),
          labels: one.metric,
          config: { displayNameFromDS: name },
        },
      ],
    });
  });
}

/** One row for each set of labels, one column for each label. */
function table(target, { found }, alone) {
  const labels = [...new Set(found.flatMap((one) => Object.keys(one.metric)))].sort();
  const column = (label) => found.map((one) => one.metric[label] ?? '');
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: found.map((one) => times(one)[0]) },
      ...labels.map((label) => ({ name: label, type: FieldType.string, values: column(label) })),
      {
        name: alone ? 'Value' : `Value #${target.refId}`,
        type: FieldType.number,
        values: found.map((one) => numbers(one)[0]),
      },
    ],
  });
}

/** Each bucket without those below it: Prometheus counts up to a bound, a heatmap shows between two. */
function buckets(target, { step, found }) {
  const rising = found
    .map((one) => ({ bound: parse(one.metric.le), at: new Map(one.values.map(([at, text]) => [at, parse(text)])) }))
    .sort((one, other) => one.bound - other.bound);
  const all = [...new Set(rising.flatMap((one) => [...one.at.keys()]))].sort((one, other) => one - other);
  const between = (index) =>
    all.map((at) => {
      const [upTo, below] = [rising[index].at.get(at), index ? (rising[index - 1].at.get(at) ?? 0) : 0];
      return upTo === undefined ? null : Math.max(0, upTo - below);
    });
  const fields = rising.map((one, index) => ({
    name: String(one.bound),
    type: FieldType.number,
    values: between(index),
    labels: { le: String(one.bound) },
  }));
  const time = { name: 'Time', type: FieldType.time, values: all.map((at) => at * 1000), config: { interval: step * 1000 } };
  return fields.length ? [toDataFrame({ refId: target.refId, fields: [time, ...fields] })] : [];
}

/** All of a panel's queries. Raises what the first failing one was told. */
export async function frames(panel, source, variables, width) {
  const answers = await Promise.all(
    panel.targets.map(async (target) => {
      const answer = await series(source, target, variables, width);
      if (target.format === 'heatmap') {
        return buckets(target, answer);
      }
      if (target.format === 'table') {
        return answer.found.length ? [table(target, answer, panel.targets.length === 1)] : [];
      }
      return lines(target, answer);
    })
  );
  return answers.flat();
}
