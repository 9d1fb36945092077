"""Contradictions in the rollout's steps and its analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ops.spec.contradictions.common import above, at_most, rising
from ops.spec.draft import Draft
from ops.spec.faults import Finding, figure
from serving.contract import WEIGHT_TOTAL, BadEvent

STEPS = ("rollout", "strategies", "canary", "steps_percent")
EVENTS = ("rollout", "analysis", "events")
DETECTION = ("rollout", "analysis", "detection")
_OF_TIME = (BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS)


def rollout_contradictions(draft: Draft) -> Iterator[Finding]:
    yield from _steps(draft)
    yield from rising(draft, ("rollout", "analysis", "level_quantiles"))
    yield from _events(draft)
    yield from _detection(draft)
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
    damage = ("rollout", "quality", "damage")
    yield from at_most(
        draft,
        (*damage, "mean_tolerance_nats"),
        (*damage, "token_tolerance_nats"),
        "the mean would tolerate what no single token may",
    )
    yield from at_most(
        draft,
        (*damage, "token_tolerance_nats"),
        (*damage, "token_tolerance_nats_max"),
        "the tolerance is beyond what is allowed for noise",
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


def _burn(draft: Draft, place: tuple[str, ...]) -> Iterator[Finding]:
    burn, errors = draft.number(*place, "budget_burn"), draft.number("targets", "error_rate_percent_max")
    if burn is None or errors is None:
        return
    if draft.number(*place, "budget_rate") is not None:
        yield Finding((*place, "budget_burn"), "two budgets", figure(burn), "either budget_rate or budget_burn")
    rate, tolerated = burn * errors / 100, draft.number(*place, "tolerated_rate")
    found = f"{figure(burn)}, a rate of {figure(rate)}"
    if rate >= 1:
        yield Finding((*place, "budget_burn"), "no rate exceeds it", found, f"less than {figure(100 / errors)}")
    if tolerated is not None and rate <= tolerated:
        expected = f"more than {figure(tolerated * 100 / errors)}, for a rate above tolerated_rate"
        yield Finding((*place, "budget_burn"), "budget within what is tolerated", found, expected)


def _events(draft: Draft) -> Iterator[Finding]:
    if not isinstance(draft.at(*EVENTS), Mapping):
        return
    names = draft.keys(*EVENTS)
    for event in BadEvent:
        if event not in names:
            yield Finding(EVENTS, f"missing key '{event}'", expected="a rule for each bad event", missing=event)
    for name in names:
        place = (*EVENTS, name)
        yield from above(draft, (*place, "harm"), (*place, "margin"), "harm within the margin of no worse")
        yield from above(draft, (*place, "budget_rate"), (*place, "tolerated_rate"), "budget within what is tolerated")
        yield from _burn(draft, place)
    roles = [draft.text(*EVENTS, name, "role") for name in names]
    if None not in roles and "critical" not in roles:
        yield Finding(EVENTS, "no event is critical, so nothing could stop a bad release", expected="at least one")


def _detection(draft: Draft) -> Iterator[Finding]:
    """A release that the margins call no worse cannot be demanded to be rolled back."""
    rules = ((*EVENTS, event) for event in _OF_TIME if draft.text(*EVENTS, event, "role") == "critical")
    margins = [margin for rule in rules if (margin := draft.number(*rule, "margin")) is not None]
    for i in draft.indices(*DETECTION, "slower"):
        place = (*DETECTION, "slower", i, "times")
        times = draft.number(*place)
        if times is not None and margins and times <= min(margins):
            expected = f"more than the least margin of what is critical, {figure(min(margins))}"
            yield Finding(place, "within the margin of no worse, so never rolled back", figure(times), expected)
    for i in draft.indices(*DETECTION, "errors"):
        at = (*DETECTION, "errors", i)
        yield from above(draft, (*at, "to_percent"), (*at, "from_percent"), "no more errors than before")
