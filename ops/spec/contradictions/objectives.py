"""Alerts on objectives that could never fire, or that would read what is no longer kept."""

from __future__ import annotations

from collections.abc import Iterator

from ops.spec.alerting import DIRECT_SECONDS_MAX
from ops.spec.contradictions.common import unique
from ops.spec.draft import Draft
from ops.spec.faults import Finding, Path, figure, path_text

OBJECTIVES = ("alerting", "objectives")
OUTAGE = (*OBJECTIVES, "outage")
TARGET = ("targets", "availability_percent")
ERROR_RATES = ("alerting", "thresholds", "error_rate_percent")
RATE = ("targets", "requests_per_second")
P95_BUDGET_PERCENT = 5
"""What the spec's keys ``*_p95_ms`` leave."""


def objective_contradictions(draft: Draft) -> Iterator[Finding]:
    rows = [
        (*OBJECTIVES, "errors"),
        *((*OBJECTIVES, name, i) for name in ("burn", "share", "goodput") for i in draft.indices(*OBJECTIVES, name)),
    ]
    for row in rows:
        yield from _windows(draft, row)
        yield from _floor(draft, row, "long_seconds")
        yield from _short_floor(draft, row)
    yield from _floor(draft, OUTAGE, "window_seconds")
    for key in ("window_seconds", "gateways_down_seconds"):
        yield from _kept(draft, (*OUTAGE, key))
    for i in draft.indices(*OBJECTIVES, "burn"):
        yield from _factor(draft, (*OBJECTIVES, "burn", i, "factor"))
        yield from _released(draft, (*OBJECTIVES, "burn", i), (*OBJECTIVES, "burn", i, "factor"), 1)
    for i in draft.indices(*OBJECTIVES, "share"):
        bound = (*OBJECTIVES, "share", i, "bad_percent")
        yield from _within_target(draft, bound)
        yield from _released(draft, (*OBJECTIVES, "share", i), bound, P95_BUDGET_PERCENT)
    if (target := draft.number(*TARGET)) is not None:
        for level in ("warning", "critical"):
            yield from _released(draft, (*OBJECTIVES, "errors"), (*ERROR_RATES, level), round(100 - target, 10))
    for name, key in (("burn", "speed"), ("share", "severity"), ("goodput", "severity")):
        paths = [(*OBJECTIVES, name, i, key) for i in draft.indices(*OBJECTIVES, name)]
        yield from unique([(path, text) for path in paths if (text := draft.text(*path)) is not None], f"the {key}")


def _windows(draft: Draft, row: Path) -> Iterator[Finding]:
    long, short = draft.number(*row, "long_seconds"), draft.number(*row, "short_seconds")
    if long is not None and short is not None and short >= long:
        why = "the short window must end an alert sooner than the long one"
        yield Finding((*row, "short_seconds"), why, figure(short), f"less than the row's long_seconds, {figure(long)}")
    yield from _kept(draft, (*row, "long_seconds"))


def _kept(draft: Draft, path: Path) -> Iterator[Finding]:
    """The window can be looked at, and is looked at more than once before it has passed."""
    window, days = draft.number(*path), draft.number("retention", "metrics_days")
    if window is None:
        return
    if days is not None and window > days * 86_400:
        why = "metrics would be gone before the window ends"
        yield Finding(path, why, figure(window), f"at most retention.metrics_days, {figure(days * 86_400)} s")
    every = draft.number("alerting", "evaluation_seconds")
    if every is not None and window < 2 * every:
        why = "two evaluations do not fit into the window"
        yield Finding(path, why, figure(window), f"at least twice alerting.evaluation_seconds, {figure(2 * every)}")


def _factor(draft: Draft, path: Path) -> Iterator[Finding]:
    factor, target = draft.number(*path), draft.number(*TARGET)
    if factor is None or target is None:
        return
    budget = round(100 - target, 10)
    if factor * budget >= 100:
        why = "more than all requests would have to fail"
        yield Finding(path, why, figure(factor), f"less than {100 / budget:.10g}, for a budget of {budget:g} %")


def _within_target(draft: Draft, path: Path) -> Iterator[Finding]:
    percent = draft.number(*path)
    if percent is not None and percent <= P95_BUDGET_PERCENT:
        why = "alert while the target still holds"
        yield Finding(path, why, figure(percent), f"more than {P95_BUDGET_PERCENT}, which a p95 target lets pass")


def _released(draft: Draft, row: Path, bound_path: Path, allowed: float) -> Iterator[Finding]:
    """``allowed`` is in the bound's unit."""
    path = (*row, "release_percent")
    bound, part, window = (draft.number(*one) for one in (bound_path, path, (*row, "long_seconds")))
    if part is None:
        return
    if window is not None and window > DIRECT_SECONDS_MAX:
        why = "a rule over hours is not evaluated often enough to know whether it fires"
        expected = f"none for a long_seconds of more than {DIRECT_SECONDS_MAX}"
        yield Finding(path, why, figure(part), expected)
    elif bound is not None and bound * part / 100 <= allowed < bound:  # a bound within it is a fault of its own
        why = "the alert would go on while the target holds"
        yield Finding(path, why, figure(part), f"more than {100 * allowed / bound:.4g}, for {path_text(bound_path)}")


def _floor(draft: Draft, row: Path, key: str) -> Iterator[Finding]:
    """At the promised traffic, with all requests bad, there are so many in the window."""
    floor, window, rate = (draft.number(*path) for path in ((*row, "bad_events_min"), (*row, key), RATE))
    if floor is None or window is None or rate is None:
        return
    most = int(window * rate)
    if floor > most:
        why = "there are never so many requests in the window"
        expected = f"at most {most}, those of {path_text((*row, key))} at {path_text(RATE)}"
        yield Finding((*row, "bad_events_min"), why, figure(floor), expected)


def _short_floor(draft: Draft, row: Path) -> Iterator[Finding]:
    short, long = draft.number(*row, "short_bad_events_min"), draft.number(*row, "bad_events_min")
    if short is not None and long is not None and short > long:
        why = "the floor of the long window would mean nothing: what is in the short one is in the long one, too"
        expected = f"at most the row's bad_events_min, {figure(long)}"
        yield Finding((*row, "short_bad_events_min"), why, figure(short), expected)
