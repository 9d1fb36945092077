"""The peers on a recorded rollout, over a grid of settings: each setting is one contender."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import nan

import numpy as np

from benchmarks.judge.peers import argo, flagger, kayenta
from benchmarks.judge.peers.answer import Answer, Verdict
from benchmarks.judge.series import Recorded, Samples, Stage, failed_share, percentile, record
from ops.judge.imagining import Imagined, Traffic
from serving.contract import Arm

STEP_SECONDS = 600.0
"""Of the steps of 5 and 50 %, for Argo and Kayenta: ten minutes each, as their guides do."""
FLAGGER_WEIGHTS = tuple(range(5, 55, 5))
"""Percent; Flagger moves on with each tick that breaches nothing: stepWeight 5, maxWeight 50."""
_TICKS_MAX = 40

FACTORS = (1.1, 1.25, 1.5, 2.0, 3.0)
"""Thresholds of latency, as multiples of what stable shows over a long time."""
FAILED_MOST = 0.02
"""The success rate asked for: 98 %."""
INTERVALS_SECONDS = (30.0, 60.0, 120.0)
FAILURE_LIMITS = (0, 1, 3, 5)
THRESHOLDS = (1, 2, 5, 10)
PASSING = ((75.0, 50.0), (95.0, 75.0))
"""Kayenta's scores to pass and to end at."""
INCREASES = (1.0, 1.1, 1.25, 1.5)
"""From which ratio of the means on an increase counts."""
EVERY_SECONDS = (120.0, 600.0)
"""How often the growing window is judged; the last once, at the step's end."""
POINT_SECONDS = 30.0


@dataclass(frozen=True)
class Contender:
    judge: str
    setting: tuple[float, ...]

    @property
    def label(self) -> str:
        words = {
            "Argo": "p95 <= {0:g} x usual every {1:g} s, failureLimit {2:g}",
            "Flagger": "p99 <= {0:g} x usual every {1:g} s, threshold {2:g}",
            "Kayenta": "pass {0:g}, marginal {1:g}, increase {2:g}, every {3:g} s",
        }
        return f"{self.judge}: {words[self.judge].format(*self.setting)}"


CONTENDERS = (
    *(Contender("Argo", s) for s in product(FACTORS, INTERVALS_SECONDS, map(float, FAILURE_LIMITS))),
    *(Contender("Flagger", s) for s in product(FACTORS, INTERVALS_SECONDS, map(float, THRESHOLDS))),
    *(Contender("Kayenta", (*p, i, e)) for p, i, e in product(PASSING, INCREASES, EVERY_SECONDS)),
)


def stages(judge: str, stable: bool, interval_seconds: float = 60.0) -> tuple[Stage, ...]:
    """The weights over time if nothing goes wrong; ``stable``: compared with stable from the first step on."""
    if judge == "Flagger":
        weights = [weight / 100 for weight in FLAGGER_WEIGHTS]
        # Breaches hold the weight where it is; the last one is drawn for as long as may be waited.
        spans = [interval_seconds] * (len(weights) - 1) + [interval_seconds * (_TICKS_MAX - len(weights) + 1)]
        return tuple(Stage(span, w, Arm.STABLE, 1 - w) for span, w in zip(spans, weights, strict=True))
    first = Stage(STEP_SECONDS, 0.05, Arm.STABLE, 0.95) if stable else Stage(STEP_SECONDS, 0.05, Arm.BASELINE, 0.05)
    return first, Stage(STEP_SECONDS, 0.5, Arm.STABLE, 0.5)


@dataclass(frozen=True)
class Usual:
    """What stable shows over a long time: what an operator sets thresholds by. Seconds."""

    p95: float
    p99: float


def usual(traffic: Traffic) -> Usual:
    chance, hour = np.random.default_rng(0), (Stage(3600.0, 0.5, Arm.STABLE, 0.5),)
    from_start = _reference(traffic, chance, hour)
    return Usual(percentile(from_start, 0.95), percentile(from_start, 0.99))


def _reference(traffic: Traffic, chance: np.random.Generator, hour: tuple[Stage, ...]) -> Samples:
    return record(hour, traffic, Imagined(), chance).reference


def answers(judge: str, seen: Recorded, known: Usual, interval_seconds: float) -> Iterator[tuple[Contender, Answer]]:
    """Every contender of the judge that reads at this interval (Kayenta reads at its own)."""
    if judge == "Kayenta":
        yield from _kayenta(seen)
        return
    for contender in CONTENDERS:
        if contender.judge == judge and contender.setting[1] == interval_seconds:
            yield contender, (_argo if judge == "Argo" else _flagger)(contender, seen, known)


def _latency(seen: Recorded, fraction: float, start: float, end: float) -> float | None:
    if seen.hidden(end):
        return None
    return nan if seen.latency_missing else percentile(seen.canary.between(start, end), fraction)


def _errors(seen: Recorded, start: float, end: float) -> float | None:
    return None if seen.hidden(end) else failed_share(seen.canary.between(start, end))


def _argo(contender: Contender, seen: Recorded, known: Usual) -> Answer:
    factor, interval, limit = contender.setting
    metrics = (
        argo.Metric("latency", lambda start, end: _latency(seen, 0.95, start, end), factor * known.p95),
        argo.Metric("errors", lambda start, end: _errors(seen, start, end), FAILED_MOST),
    )
    return argo.analysed(metrics, argo.Settings(interval, int(limit)), sum(stage.seconds for stage in seen.stages))


def _flagger(contender: Contender, seen: Recorded, known: Usual) -> Answer:
    # The weight is where the fixed schedule has it, not where breaches would have held it: the windows are the same,
    # only the number of requests in them differs, to Flagger's favour.
    factor, interval, threshold = contender.setting
    checks = (
        flagger.Check("errors", lambda _, start, end: _errors(seen, start, end), FAILED_MOST),
        flagger.Check("latency", lambda _, start, end: _latency(seen, 0.99, start, end), factor * known.p99),
    )
    return flagger.analysed(checks, flagger.Settings(interval, int(threshold)), len(FLAGGER_WEIGHTS), _TICKS_MAX)


def _kayenta(seen: Recorded) -> Iterator[tuple[Contender, Answer]]:
    looks = [list(_looks(seen, every)) for every in EVERY_SECONDS]
    for contender in CONTENDERS:
        if contender.judge == "Kayenta":
            yield contender, _scored(contender, looks[EVERY_SECONDS.index(contender.setting[3])], seen)


Look = tuple[float, bool, tuple[kayenta.Compared, ...]]
"""When, whether it is the step's last, and the metrics compared."""


def _looks(seen: Recorded, every: float) -> Iterator[Look]:
    """At each step a window that grows from the step's start; its series begin anew with the weights."""
    chance, start = np.random.default_rng(0), 0.0
    for stage in seen.stages:
        ends = np.arange(start + POINT_SECONDS, start + stage.seconds + 1, POINT_SECONDS)
        points = [_points(seen, end - POINT_SECONDS, end) for end in ends]
        for now in np.arange(start + every, start + stage.seconds + 1, every):
            shown = [point for end, point in zip(ends, points, strict=True) if end <= now and not seen.hidden(now)]
            metrics = tuple(
                kayenta.compared(name, [p[i][0] for p in shown], [p[i][1] for p in shown], chance)
                for i, name in enumerate(("latency", "latency", "errors"))
            )
            yield float(now), bool(now >= start + stage.seconds), metrics
        start += stage.seconds


def _points(seen: Recorded, start: float, end: float) -> tuple[tuple[float, float], ...]:
    """p95 and mean latency, and the percentage that failed, of canary and reference."""
    sides = seen.canary.between(start, end), seen.reference.between(start, end)
    p95, mean, failed = ([f(side) for side in sides] for f in (_p95, _mean, _failed_percent))
    if seen.latency_missing or seen.hidden(end):
        p95 = mean = [nan, nan]
    if seen.hidden(end):
        failed = [nan, nan]
    return (p95[0], p95[1]), (mean[0], mean[1]), (failed[0], failed[1])


def _p95(samples: Samples) -> float:
    return percentile(samples, 0.95)


def _mean(samples: Samples) -> float:
    return float(samples.latency.mean()) if len(samples.latency) else nan


def _failed_percent(samples: Samples) -> float:
    return 100 * failed_share(samples)


def _scored(contender: Contender, looks: list[Look], seen: Recorded) -> Answer:
    passing, marginal, increase, _ = contender.setting
    for now, last, metrics in looks:
        classes = [kayenta.classified(metric, increase) for metric in metrics]
        found = kayenta.score(classes, (False, False, True))
        if found <= marginal or (last and found < passing):
            blamed = {m.name for m, c in zip(metrics, classes, strict=True) if c is not kayenta.Class.PASS}
            nodata = any(c is kayenta.Class.NODATA for c in classes)
            return Answer(Verdict.ROLLED_BACK, now, ("metrics",) if nodata else tuple(sorted(blamed)))
    return Answer(Verdict.PROMOTED, sum(stage.seconds for stage in seen.stages))
