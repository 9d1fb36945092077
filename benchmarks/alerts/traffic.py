"""Counters as Prometheus would scrape them, from an incident and its seed.

Each interval's requests are Poisson, what goes wrong with them binomial. A sample shows what had happened one interval
before: a scrape is that old when a rule reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.alerts.incidents import Incident

STEP_SECONDS = 15
SLOW_SHARE = 0.03
"""Late on a quiet day; 0.05 may be."""
FAILED_SHARE = 0.0005
"""Failed on a quiet day: half of what 99.9 % allow."""
STREAMS = 0.6
LATE_FIRST_TOKEN, LATE_TOKENS = 0.8, 0.3
"""Of the requests that trouble makes late, so many also miss these targets."""
OF_ALL = ("availability", "latency")
"""Of tiers without trouble the others are left out, for they are alike."""
Counts = NDArray[np.int64]
Series = tuple[str, str]
"""Selector and values, in promtool's notation."""


def series(
    incident: Incident, run: str, before_minutes: float, after_minutes: float, every: int = 1
) -> Iterator[Series]:
    """Every series of one replay, told apart from others by the label ``run``; of its samples each ``every``th."""
    rng = np.random.default_rng(incident.seed)
    minutes = np.arange(-before_minutes, incident.minutes + after_minutes, STEP_SECONDS / 60)
    for tier in incident.tiers:
        failed, late = _shares(incident, tier, minutes)
        for worker in range(incident.workers):
            seen = _seen(incident, worker, minutes)
            labels = f'run="{run}",tier="{tier}",task_class="query",instance="w{worker}"'
            for objective, requests, misses in _counts(rng, incident.per_minute / incident.workers, failed, late):
                if objective not in OF_ALL and not any(one.tier == tier for one in incident.troubles):
                    continue
                for what, counts in (("requests", requests), ("misses", misses)):
                    selector = f'gateway_objective_{what}_total{{{labels},objective="{objective}"}}'
                    yield selector, _values(_counter(counts, incident, minutes)[::every], seen[::every])
    for worker in range(incident.workers):
        up = _seen(incident, worker, minutes)[::every].astype(np.int64)
        yield f'up{{run="{run}",job="gateway",instance="w{worker}"}}', _values(up, np.ones(len(up), bool))


def quiet(rng: np.random.Generator, per_minute: float, steps: int) -> dict[str, tuple[Counts, Counts]]:
    """A tier's quiet days: requests and misses in each interval, by objective."""
    failed, late = np.full(steps, FAILED_SHARE), np.full(steps, SLOW_SHARE)
    return {objective: (requests, misses) for objective, requests, misses in _counts(rng, per_minute, failed, late)}


def counters(
    counts: Mapping[str, tuple[Counts, Counts]], run: str, every: int = 1, only: Sequence[str] = ()
) -> Iterator[Series]:
    """A tier's counters, which first show each interval's counts at its sample; of the samples each ``every``th."""
    for objective, both in counts.items():
        if only and objective not in only:
            continue
        labels = f'run="{run}",tier="{run}",task_class="query",instance="w0",objective="{objective}"'
        for what, each in zip(("requests", "misses"), both, strict=True):
            total = np.cumsum(each)[::every]
            yield f"gateway_objective_{what}_total{{{labels}}}", _values(total, np.ones(len(total), bool))


def _shares(incident: Incident, tier: str, minutes: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    failed, late = np.full(len(minutes), FAILED_SHARE), np.full(len(minutes), SLOW_SHARE)
    for one in incident.troubles:
        if one.tier == tier:
            during = (minutes >= one.begin) & (minutes < one.end)
            part = (minutes[during] - one.begin) / (one.end - one.begin)
            to = one.to or (one.failed, one.late)
            failed[during] = np.maximum(FAILED_SHARE, one.failed + (to[0] - one.failed) * part)
            late[during] = np.maximum(SLOW_SHARE, one.late + (to[1] - one.late) * part)
    return failed, late


def _counts(
    rng: np.random.Generator, per_minute: float, failed: NDArray[np.float64], late: NDArray[np.float64]
) -> Iterator[tuple[str, Counts, Counts]]:
    """Requests and misses in each interval, by objective."""
    requests = rng.poisson(per_minute * STEP_SECONDS / 60, len(failed))
    bad = rng.binomial(requests, failed)
    slow = rng.binomial(requests - bad, late)
    yield "availability", requests, bad
    yield "latency", requests, bad + slow
    streams = rng.binomial(requests, STREAMS)
    any_bad = bad + slow
    for objective, also in (("first_token", LATE_FIRST_TOKEN), ("token_interval", LATE_TOKENS)):
        troubled = failed + (1 - failed) * np.maximum(SLOW_SHARE, late * also)
        misses = rng.binomial(streams, np.minimum(1, troubled))
        yield objective, streams, misses
        any_bad = np.maximum(any_bad, misses)
    yield "goodput", requests, np.minimum(requests, any_bad + rng.binomial(requests - any_bad, SLOW_SHARE))


def _counter(counts: Counts, incident: Incident, minutes: NDArray[np.float64]) -> Counts:
    shown = np.concatenate(([0], counts[:-1]))
    total = np.cumsum(shown)
    for minute in incident.restarts:
        after = minutes >= minute
        total[after] -= total[np.argmax(after) - 1]
    return total


def _seen(incident: Incident, worker: int, minutes: NDArray[np.float64]) -> NDArray[np.bool_]:
    if worker not in incident.unseen:
        return np.ones(len(minutes), bool)
    return (minutes < 0) | (minutes >= incident.minutes)


def _values(counts: Counts, seen: NDArray[np.bool_]) -> str:
    """Runs of equal values are shortened; a series that is no longer scraped is stale at once."""
    parts: list[str] = []
    i, n = 0, len(counts)
    while i < n:
        j = i
        while j + 1 < n and seen[j + 1] == seen[i] and (not seen[i] or counts[j + 1] == counts[i]):
            j += 1
        length = j - i
        if not seen[i]:
            parts.append("stale" if length == 0 else f"stale _x{length}")
        else:
            parts.append(str(counts[i]) if length == 0 else f"{counts[i]}+0x{length}")
        i = j + 1
    return " ".join(parts)
