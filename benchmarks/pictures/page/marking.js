// A dashboard's annotations: lines over every panel that has a time axis.
import { named, series } from './asking.js';

const WIDTH = 1600; // pixels: the step of an annotation is its own, no panel's

/** ``[{time, end, colour, text}, ...]`` in milliseconds. Points no further apart than a step become one region. */
export async function marks(dashboard, source, variables) {
  const wanted = dashboard.annotations.list.filter((one) => one.enable && one.target?.expr);
  const found = await Promise.all(wanted.map((one) => marksOf(one, source, variables)));
  return found.flat();
}

async function marksOf(annotation, source, variables) {
  const target = { ...annotation.target, instant: false };
  const { step, found } = await series(source, target, variables, WIDTH);
  const [from, to] = [source.range.from.valueOf(), source.range.to.valueOf()];
  return found.flatMap((one) => {
    const times = annotation.useValueForTime
      ? [...new Set(one.values.map(([, text]) => Math.floor(Number(text))))]
      : one.values.filter(([, text]) => Number(text) > 0).map(([at]) => at * 1000);
    return regions(times, step * 1000)
      .filter(({ time, end }) => end >= from && time <= to)
      .map((region) => ({
        ...region,
        colour: annotation.iconColor,
        text: named(annotation.titleFormat, one.metric),
      }));
  });
}

function regions(times, step) {
  const joined = [];
  for (const time of times) {
    const last = joined.at(-1);
    if (last && time - last.end <= step) {
      last.end = time;
    } else {
      joined.push({ time, end: time });
    }
  }
  return joined;
}
