"""When a paging rule comes near to firing, by arithmetic on the counts: what is far from each needs no rule engine.

An alert on objectives begins to fire only where its long window holds its floor of misses and more than its share of
them. Both are asked for with a margin here, at each evaluation, so that whatever could begin is found, and much that
does not. What only goes on pages nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.alerts.traffic import STEP_SECONDS
from ops.alerting.families.burns import budget_percent
from ops.alerting.families.objectives import soon
from ops.alerting.families.outages import OBJECTIVE
from ops.alerting.families.slowness import GOODPUT, TARGETS
from ops.alerting.model import Severity
from ops.spec.model import Spec

MARGIN = 0.75
"""Of each bound and of each floor: a quarter below it is near."""
CRITICAL = Severity.CRITICAL.value
Counts = Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
"""Requests and misses in each interval, by objective, as a scrape at its end would first show them."""


@dataclass(frozen=True)
class Condition:
    """What must hold, among other things, where an alert begins to fire."""

    alert: str
    objective: str
    percent: float
    window_seconds: float
    bad_events_min: int


class RuleUnknown(Exception):
    """A rule that pages is not screened for: its quiet days would say nothing of it."""


def conditions(spec: Spec) -> tuple[Condition, ...]:
    """One for each alert on objectives that pages. Raises RuleUnknown."""
    found = tuple(_conditions(spec))
    paging = {alert.name for group in soon(spec) for alert in group.alerts if alert.severity is Severity.CRITICAL}
    if unknown := paging ^ {one.alert for one in found}:
        raise RuleUnknown(f"not screened for, or not there: {', '.join(sorted(unknown))}")
    return found


def _conditions(spec: Spec) -> Iterator[Condition]:
    rules = spec.alerting.objectives
    outage = rules.outage
    for name in ("ServiceOutage", "TierOutage"):
        yield Condition(name, OBJECTIVE, outage.bad_percent, outage.window_seconds, outage.bad_events_min)
    if (percent := spec.alerting.thresholds.error_rate_percent.critical) is not None:
        errors = rules.errors
        yield Condition("HighErrorRate", "availability", percent, errors.long_seconds, errors.bad_events_min)
    for burn in rules.burn:
        if burn.severity == CRITICAL:
            percent = burn.factor * budget_percent(spec)
            name = f"ErrorBudgetBurn{burn.speed.capitalize()}"
            yield Condition(name, "availability", percent, burn.long_seconds, burn.bad_events_min)
    for rows, targets in ((rules.share, TARGETS), (rules.goodput, (GOODPUT,))):
        for row in rows:
            if row.severity == CRITICAL:
                for one in targets:
                    yield Condition(one.name, one.objective, row.bad_percent, row.long_seconds, row.bad_events_min)


def near(counts: Counts, wanted: tuple[Condition, ...], margin: float = MARGIN) -> NDArray[np.bool_]:
    """At each evaluation whether one of the conditions holds with its bounds so much lower. ``margin`` 1 is the
    conditions themselves."""
    found = np.zeros(len(next(iter(counts.values()))[0]), bool)
    for one in wanted:
        requests, misses = (_increase(each, one.window_seconds) for each in counts[one.objective])
        found |= (misses >= margin * one.bad_events_min) & (misses > margin * one.percent / 100 * requests)
    return found


def _increase(each: NDArray[np.int64], seconds: float) -> NDArray[np.int64]:
    steps = round(seconds / STEP_SECONDS)
    total = np.cumsum(each)
    total[steps:] -= total[:-steps].copy()
    return total


def stretches(
    found: NDArray[np.bool_], before_steps: int, after_steps: int, apart_steps: int
) -> Iterator[tuple[int, int]]:
    """From where to where to look more closely: runs that are less than so far apart are one."""
    at = np.flatnonzero(found)
    if not len(at):
        return
    breaks = np.flatnonzero(np.diff(at) > apart_steps)
    for first, last in zip([at[0], *at[breaks + 1]], [*at[breaks], at[-1]], strict=True):
        yield int(first) - before_steps, int(last) + 1 + after_steps
