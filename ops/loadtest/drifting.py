"""Whether something creeps up over a long run: latency, memory, connections. Pure.

The slope is the median of those between all pairs of points (Theil 1950, Sen 1968), with its confidence interval: one
hiccup moves it little. Points are averages of long windows, so that neighbours depend on each other little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from statistics import fmean, median

import scipy

from ops.loadtest.calls import OK, failures
from ops.loadtest.found import Found, fact
from ops.loadtest.recording import Measure, Recorder, percentile
from ops.loadtest.run import Run
from ops.loadtest.tallies import classes
from ops.spec.load_judging import Sought
from ops.verdict import Outcome

POINTS_MAX = 30
POINTS_MIN = 8
"""Fewer say nothing of a slope."""
TWO_SIDED = 0.90
"""One-sided 95 % at each end."""
Point = tuple[float, float]
"""Seconds from the start, and the value."""


def drifts(run: Run, sought: Sought) -> tuple[Found, ...]:
    """Latency of each class, and memory and open files of each process of the gateway."""
    spans = _measured(run)
    found = []
    for task_class in classes(run.plan.kinds):
        points = _latencies(run, task_class, spans, sought.window_seconds)
        found.append(_drift(f"p95 latency of {task_class}", points, sought.drift_percent_max))
    names = sorted({one.name for one in run.server.health})
    if not names:
        words = f"memory and connections of the gateway are not known: {run.server.blind or 'it told none'}"
        return (*found, fact("drift_percent", None, words, Outcome.INVALID))
    for name in names:
        told = [(one.at_unix_seconds - run.started_unix_seconds, one) for one in run.server.health if one.name == name]
        within = [(at, one) for at, one in told if any(begin <= at < end for begin, end in spans)]
        memory = _averaged([(at, float(one.memory_bytes)) for at, one in within], sought.window_seconds)
        files = _averaged([(at, float(one.open_files)) for at, one in within], sought.window_seconds)
        found.append(_drift(f"memory of {name}", memory, sought.drift_percent_max))
        found.append(_drift(f"open files of {name}", files, sought.drift_percent_max))
    return tuple(found)


def _drift(what: str, points: Sequence[Point], percent_max: float) -> Found:
    name = "drift_percent"
    if len(points) < POINTS_MIN:
        words = f"drift of {what}: {len(points)} points in time are too few, {POINTS_MIN} are needed; run longer"
        return fact(name, None, words, Outcome.INCONCLUSIVE)
    times, values = zip(*points, strict=True)
    # scipy imports its part for statistics here, at its first use: that takes half a second, and few runs need it.
    slope, _, low, high = scipy.stats.theilslopes(values, times, TWO_SIDED)
    whole = 100 * (times[-1] - times[0]) / (median(values) or 1.0)
    rise, least, most = float(slope) * whole, float(low) * whole, float(high) * whole
    outcome = Outcome.PASS if most <= percent_max else Outcome.FAIL if least > percent_max else Outcome.INCONCLUSIVE
    words = (
        f"{what} changed by {rise:+.1f} % over {(times[-1] - times[0]) / 60:,.0f} minutes, between {least:+.1f} and "
        f"{most:+.1f} % (at most {percent_max:+g} % allowed)"
    )
    return fact(name, rise, words, outcome)


def _measured(run: Run) -> list[tuple[float, float]]:
    ends = list(accumulate(phase.seconds for phase in run.plan.phases))
    return [(end - phase.seconds, end) for phase, end in zip(run.plan.phases, ends, strict=True) if phase.measured]


def _width(seconds: float, least: float) -> float:
    return max(least, seconds / POINTS_MAX)


def _latencies(run: Run, task_class: str, spans: Sequence[tuple[float, float]], least: float) -> list[Point]:
    """p95 by window; a window in which it falls on a failed request has none, and misses the targets anyhow."""
    return [point for begin, end in spans for point in _span_latencies(run, task_class, (begin, end), least)]


def _span_latencies(run: Run, task_class: str, span: tuple[float, float], least: float) -> Iterator[Point]:
    begin, end = span
    width = _width(end - begin, least)
    inside = [one for one in run.windows if one.task_class == task_class and begin <= one.at < end]
    for number, group in groupby(inside, key=lambda one: int((one.at - begin) / width)):
        merged = Recorder()
        for window in group:
            merged.merge(window.recorded)
        answers = merged.histograms.get(Measure.LATENCY)
        if answers is None or not merged.counts[OK]:
            continue
        p95 = percentile(answers, sum(failures(merged.counts).values()), 95)
        if p95 is not None:
            yield begin + (number + 0.5) * width, p95


def _averaged(points: Sequence[Point], least: float) -> list[Point]:
    if not points:
        return []
    begin = points[0][0]
    width = _width(points[-1][0] - begin, least)
    ordered = sorted(points)
    groups = groupby(ordered, key=lambda point: int((point[0] - begin) / width))
    return [_mean(list(group)) for _, group in groups]


def _mean(points: Sequence[Point]) -> Point:
    return fmean(at for at, _ in points), fmean(value for _, value in points)
