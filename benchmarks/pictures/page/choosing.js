// The choices at the top of a dashboard and its intervals, as Grafana puts them into a query.
import { rangeUtil } from '@grafana/data';

const SCRAPES_PER_RATE = 4; // Grafana's $__rate_interval is never shorter
const POINTS_MAX = 11000; // Prometheus's own limit of a range query

/** The dashboard's variables with what stands for "All": a pattern of theirs, or the values that Prometheus has. */
export async function choices(dashboard, source) {
  const found = [];
  for (const { label, name, type, query, allValue } of dashboard.templating.list) {
    if (type === 'datasource') {
      found.push({ label, name, shown: 'Prometheus', pattern: '' });
    } else {
      found.push({ label, name, shown: 'All', pattern: allValue ?? (await joined(query, source, found)) });
    }
  }
  return found;
}

async function joined(query, { url, range }, variables) {
  const [, selector, label] = query.match(/^label_values\((.+), (\w+)\)$/);
  const [start, end] = [range.from, range.to].map((time) => time.valueOf() / 1000);
  const parameters = new URLSearchParams({ 'match[]': chosen(selector, variables), start, end });
  const said = await (await fetch(`${url}/api/v1/label/${label}/values?${parameters}`)).json();
  if (said.status !== 'success') {
    throw new Error(`${said.error}: ${query}`);
  }
  return `(${said.data.join('|')})`;
}

function chosen(text, variables) {
  return variables.reduce(
    (before, { name, pattern }) => before.replaceAll(new RegExp(`\\$${name}\\b|\\$\\{${name}\\}`, 'g'), pattern),
    text
  );
}

/** Seconds between two points of a panel that is ``width`` pixels wide, no shorter than between two scrapes. */
export function stepSeconds(range, width, scrapeSeconds, least) {
  const { intervalMs } = rangeUtil.calculateInterval(range, width, least ?? `${scrapeSeconds * 1000}ms`);
  const seconds = (range.to.valueOf() - range.from.valueOf()) / 1000;
  return Math.max(intervalMs / 1000, seconds / POINTS_MAX);
}

/** The query with numbers for Grafana's intervals and patterns for the dashboard's variables. */
export function plain(expression, variables, { range, step, scrapeSeconds }) {
  const whole = Math.round((range.to.valueOf() - range.from.valueOf()) / 1000);
  const rate = Math.max(step + scrapeSeconds, SCRAPES_PER_RATE * scrapeSeconds);
  const timed = expression
    .replaceAll('$__rate_interval', `${Math.round(rate * 1000)}ms`)
    .replaceAll('$__interval', `${Math.round(step * 1000)}ms`)
    .replaceAll('$__range', `${whole}s`);
  const text = chosen(timed, variables);
  if (/\$\{?[a-z_]/i.test(text)) {
    throw new Error(`no value for a variable of: ${text}`);
  }
  return text;
}
