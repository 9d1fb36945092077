"""Times of alerts that no evaluation meets, that overlap, or that read what is no longer kept; categories unknown."""

from __future__ import annotations

from collections.abc import Iterator

from ops.spec.contradictions.common import above
from ops.spec.draft import Draft
from ops.spec.faults import Finding, Path, figure, nearest, one_of, quoted

TIMING = ("alerting", "timing")
EVALUATION = ("alerting", "evaluation_seconds")
DAY_SECONDS = 86_400


def timing_contradictions(draft: Draft) -> Iterator[Finding]:
    for name in draft.keys(*TIMING):
        yield from _whole_evaluations(draft, (*TIMING, name))
    yield from above(
        draft, (*TIMING, "compare_offset_seconds"), (*TIMING, "compare_seconds"), "the hours compared would overlap"
    )
    yield from _kept(draft, (*TIMING, "forecast_window_seconds"), 0)
    yield from _kept(draft, (*TIMING, "compare_offset_seconds"), draft.number(*TIMING, "compare_seconds") or 0)
    yield from _categories(draft)


def _whole_evaluations(draft: Draft, path: Path) -> Iterator[Finding]:
    """An alert changes at an evaluation; a time between two would be another one than is written."""
    value, every = draft.number(*path), draft.number(*EVALUATION)
    if value is not None and every and value % every:
        yield Finding(path, "no whole number of evaluations", figure(value), f"a multiple of {figure(every)}")


def _kept(draft: Draft, path: Path, more_seconds: float) -> Iterator[Finding]:
    value, days = draft.number(*path), draft.number("retention", "metrics_days")
    if value is not None and days is not None and value + more_seconds > days * DAY_SECONDS:
        why = "metrics would be gone before they are read"
        yield Finding(path, why, figure(value), f"at most retention.metrics_days, {figure(days * DAY_SECONDS)} s")


def _categories(draft: Draft) -> Iterator[Finding]:
    categories = ("alerting", "categories")
    known = tuple(name for severity in draft.keys(*categories) for _, name in draft.texts(*categories, severity))
    for name in draft.keys("alerting", "without_alerts"):
        if known and name not in known:
            why = "no such name in alerting.categories"
            yield Finding(("alerting", "without_alerts", name), why, quoted(name), one_of(known), nearest(name, known))
