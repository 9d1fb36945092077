"""Panels of states: which of several holds, over time, one line for each tier.

Prometheus has one series for each state, 1 for the one in force. A panel wants one number that says which, so each
state's series counts as often as its place in the list.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops.dashboarding.model import BLUE, GREEN, GREY, ORANGE, RED, YELLOW, Panel, Query, Shape, Unit
from ops.dashboarding.querying import TIER, equal, select
from ops.rollout.states import State
from serving.contract import RouteState

NO_ROLLOUT = "none"

ROLLOUTS: Mapping[str, str] = {
    NO_ROLLOUT: GREY,
    State.PREPARING.value: BLUE,
    State.WARMING.value: BLUE,
    State.ANALYSING.value: YELLOW,
    State.PAUSED.value: ORANGE,
    State.SUSPENDED.value: RED,
    State.PROMOTING.value: GREEN,
    State.ROLLING_BACK.value: RED,
    State.PROMOTED.value: GREEN,
    State.ROLLED_BACK.value: RED,
    State.REFUSED.value: RED,
}
ROUTES: Mapping[str, str] = {
    RouteState.ACTIVE.value: GREEN,
    RouteState.LEASE_EXPIRED.value: RED,
    RouteState.FORCED_STABLE.value: ORANGE,
}


QUALITY: Mapping[str, str] = {
    "none": GREY,
    **dict(zip(("pass", "inconclusive", "invalid", "fail"), (GREEN, YELLOW, ORANGE, RED), strict=True)),
}
"""Verdicts, the gravest last; ``none`` while no canary is asked."""


def rollout_state(width: int) -> Panel:
    return _states(
        "rollout_state",
        "State of the rollout",
        "What the controller does with each tier's release.",
        "rollout_state",
        ROLLOUTS,
        width,
    )


def route_state(width: int) -> Panel:
    return _states(
        "route_state",
        "Lease",
        "Workers off stable live on a lease. Where nobody renewed it they went back to stable by themselves.",
        "gateway_route_state",
        ROUTES,
        width,
    )


def quality_state(width: int) -> Panel:
    """Rows are tiers and judgements: the last of what was found, the gravest where several were."""
    terms = (
        f"{place} * max by (tier, judgement) ({select('rollout_quality_verdict', TIER, equal('outcome', outcome))})"
        for place, outcome in enumerate(QUALITY)
        if outcome != "none"
    )
    return Panel(
        "quality",
        "Quality probe",
        "What was last found on the canary's replicas, by judgement. Without a canary nothing is asked.",
        Unit.NUMBER,
        (Query(" + ".join(terms), "{{tier}} {{judgement}}"),),
        shape=Shape.STATES,
        words={str(place): (outcome, colour) for place, (outcome, colour) in enumerate(QUALITY.items())},
        width=width,
        none="no canary was asked",
    )


def _states(key: str, title: str, description: str, series: str, colours: Mapping[str, str], width: int) -> Panel:
    numbered = list(enumerate(colours.items()))
    terms = (
        f"{place} * max by (tier) ({select(series, TIER, matcher)})"
        for place, (state, _) in numbered
        for matcher in (f'state="{state}"',)
    )
    words = {str(place): (state.replace("_", " "), colour) for place, (state, colour) in numbered}
    query = Query(" + ".join(terms), "{{tier}}")
    return Panel(key, title, description, Unit.NUMBER, (query,), shape=Shape.STATES, width=width, words=words)
