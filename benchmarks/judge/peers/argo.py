"""Argo Rollouts: a background analysis of the canary's own metrics against thresholds.

Each metric is measured every ``interval_seconds`` and held against its success condition; NaN fails a condition of
success. More failed measurements than ``failure_limit`` fail the analysis and abort the rollout. A provider that cannot
be reached is an error: it is asked again after 10 s, and more than four errors in a row abort too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan

from benchmarks.judge.peers.answer import Answer, Verdict

ERROR_RETRY_SECONDS = 10.0
CONSECUTIVE_ERROR_LIMIT = 4

Measured = Callable[[float, float], float | None]
"""The metric's value over the window from and until these seconds; None: the provider cannot be reached."""


@dataclass(frozen=True)
class Metric:
    name: str
    measured: Measured
    success_max: float
    """The success condition: the value is at most this."""


@dataclass(frozen=True)
class Settings:
    interval_seconds: float
    failure_limit: int


def analysed(metrics: tuple[Metric, ...], settings: Settings, end_seconds: float) -> Answer:
    """The first metric that fails decides; none until the end: promoted."""
    ends = [(at, metric.name) for metric in metrics if (at := _failed_at(metric, settings, end_seconds)) is not None]
    if not ends:
        return Answer(Verdict.PROMOTED, end_seconds)
    (seconds, reason), name = min(ends)[0], min(ends)[1]
    return Answer(Verdict.ROLLED_BACK, seconds, (reason or name,))


def _failed_at(metric: Metric, settings: Settings, end_seconds: float) -> tuple[float, str] | None:
    now, failures, errors = settings.interval_seconds, 0, 0
    while now <= end_seconds:
        value = metric.measured(now - settings.interval_seconds, now)
        if value is None:
            errors += 1
            if errors > CONSECUTIVE_ERROR_LIMIT:
                return now, "metrics"
            now += ERROR_RETRY_SECONDS
            continue
        errors = 0
        if isnan(value) or value > metric.success_max:
            failures += 1
            if failures > settings.failure_limit:
                return now, "metrics" if isnan(value) else metric.name
        now += settings.interval_seconds
    return None
