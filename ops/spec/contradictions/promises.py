"""Contradictions among targets, alerts, recovery, retention and webhooks."""

from __future__ import annotations

from collections.abc import Iterator

from ops.spec.contradictions.common import above, at_least, at_most, unique
from ops.spec.draft import Draft
from ops.spec.faults import Finding


def promise_contradictions(draft: Draft) -> Iterator[Finding]:
    yield from at_most(
        draft, ("recovery", "rto_seconds"), ("targets", "recovery_seconds_max"), "recovery slower than promised"
    )
    yield from at_least(
        draft,
        ("retention", "metrics_days"),
        ("targets", "window_days"),
        "metrics would be gone before the objectives' window ends",
    )
    yield from at_least(
        draft,
        ("retention", "model_versions_days"),
        ("recovery", "retention_days"),
        "a kept snapshot would name a model version that is gone",
    )
    yield from _alerting(draft)
    webhooks = ("notifications", "webhooks")
    names = [
        ((*webhooks, i, "name"), name) for i in draft.indices(*webhooks) if (name := draft.text(*webhooks, i, "name"))
    ]
    yield from unique(names, "the name")


def _alerting(draft: Draft) -> Iterator[Finding]:
    thresholds, categories = ("alerting", "thresholds"), ("alerting", "categories")
    for name in draft.keys(*thresholds):
        levels = (*thresholds, name)
        yield from above(draft, (*levels, "critical"), (*levels, "warning"), "critical before there was a warning")
    for level in ("warning", "critical"):
        yield from at_least(
            draft,
            (*thresholds, "error_rate_percent", level),
            ("targets", "error_rate_percent_max"),
            "alert while the promise still holds",
        )
    places = [
        ((*categories, severity, i), name)
        for severity in draft.keys(*categories)
        for i, name in draft.texts(*categories, severity)
    ]
    yield from unique(places, "the category")
