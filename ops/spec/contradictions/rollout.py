"""Contradictions in the rollout's steps and its analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ops.spec.contradictions.common import above, at_most, rising
from ops.spec.draft import Draft
from ops.spec.faults import Finding, figure
from serving.contract import WEIGHT_TOTAL, BadEvent

STEPS = ("rollout", "strategies", "canary", "steps_percent")
EVENTS = ("rollout", "analysis", "events")


def rollout_contradictions(draft: Draft) -> Iterator[Finding]:
    yield from _steps(draft)
    yield from _events(draft)
    rolling = ("rollout", "strategies", "rolling")
    if draft.number(*rolling, "surge_percent") == 0 == draft.number(*rolling, "unavailable_percent"):
        why = "nothing may be added and nothing taken away, so nothing can move"
        yield Finding((*rolling, "surge_percent"), why, "0", "more than 0, or an unavailable_percent above 0")
    yield from at_most(
        draft,
        ("rollout", "analysis", "samples_age_seconds_max"),
        ("rollout", "blind", "seconds_max"),
        "samples would count as fresh when the judge already counts as blind",
    )


def _steps(draft: Draft) -> Iterator[Finding]:
    yield from rising(draft, STEPS)
    for i, step in draft.numbers(*STEPS):
        points = step * WEIGHT_TOTAL / 100
        if abs(points - round(points)) > 1e-6:
            yield Finding((*STEPS, i), "finer than a routing table's weights", figure(step), "a multiple of 0.01")
    indices = draft.indices(*STEPS)
    last = draft.number(*STEPS, indices[-1]) if indices else None
    if last is not None and last != 100:
        yield Finding((*STEPS, indices[-1]), "the last step leaves users behind", figure(last), "100")


def _events(draft: Draft) -> Iterator[Finding]:
    if not isinstance(draft.at(*EVENTS), Mapping):
        return
    names = draft.keys(*EVENTS)
    for event in BadEvent:
        if event not in names:
            yield Finding(EVENTS, f"missing key '{event}'", expected="a rule for each bad event", missing=event)
    for name in names:
        place = (*EVENTS, name)
        yield from above(draft, (*place, "harm_odds"), (*place, "margin_odds"), "harm within the margin of no worse")
        yield from above(draft, (*place, "budget_rate"), (*place, "tolerated_rate"), "budget within what is tolerated")
    roles = [draft.text(*EVENTS, name, "role") for name in names]
    if None not in roles and "critical" not in roles:
        yield Finding(EVENTS, "no event is critical, so nothing could stop a bad release", expected="at least one")
