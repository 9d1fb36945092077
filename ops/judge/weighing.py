"""What the gathered evidence of each event amounts to: e-values against the canary and for it, and where it stands out.

All events are weighed at once: their e-values are a few arrays, one per kind of profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

from ops.judge.cells import EVERY, opportunities
from ops.judge.counting import Counts
from ops.judge.evidence import Profile, e_of_rates, e_rates_below, e_values
from ops.judge.model import EventEvidence, JudgeState, Sides
from ops.rollout.plan import AnalysisPlan, EventPlan, Role
from serving.contract import GRADED, OF_STREAMS, BadEvent

_OF_USAGE = frozenset({BadEvent.SLOW_TOKENS, BadEvent.OUTPUT_LENGTH})
"""Seen only of whole answers whose engine told how many tokens they have."""
_UNSEEN: Sides = (Profile(),)


def weighed(state: JudgeState, analysis: AnalysisPlan) -> tuple[EventEvidence, ...]:
    """Of every event that is not off, in the plan's order."""
    rules = [rule for rule in analysis.events if rule.role is not Role.OFF]
    levels = len(analysis.level_quantiles) + 1
    against = _of_sides(
        {(r.event, group): sides for r in rules for group, sides in state.whole.get(r.event, {}).items()}, levels
    )
    in_favour = _of_sides({(r.event, EVERY): state.recent.get(r.event, _UNSEEN) for r in rules}, levels)
    over_budget, tolerated = _over_budget(state, rules), _tolerated(state, rules)
    needed = len(analysis.critical) / analysis.false_rollback_rate_max
    found = []
    for rule in rules:
        # The mean of e-values is one: a second way to the same conclusion costs a factor of two, no error rate.
        groups = state.whole.get(rule.event, {})
        by_group = {group: _mean(against[rule.event, group]) for group in groups}
        worse = _over_groups(by_group, analysis.prompt_groups)
        harmless = min(in_favour[rule.event, EVERY])
        if rule.event in over_budget:
            worse = (worse + over_budget[rule.event]) / 2
        if rule.event in tolerated:
            harmless = (harmless + tolerated[rule.event]) / 2
        group = _standing_out(by_group, analysis.prompt_groups)
        found.append(_evidence(state, rule, analysis, (worse, needed, harmless), group))
    return tuple(found)


def _mean(e: Sequence[float]) -> float:
    return sum(e) / len(e)


def _evidence(
    state: JudgeState, rule: EventPlan, analysis: AnalysisPlan, e: tuple[float, float, float], group: str
) -> EventEvidence:
    event, whole = rule.event, state.whole.get(rule.event, {}).get(group, _UNSEEN)
    cut = _telling_cut(whole[0]) if event in GRADED else None
    canary, total, expected = _past(whole[0], cut)
    return EventEvidence(
        event=event,
        role=rule.role,
        canary=canary,
        total=total,
        expected=expected,
        e_worse=e[0],
        e_worse_needed=e[1],
        e_harmless=e[2],
        e_harmless_needed=1 / analysis.false_promotion_rate_max,
        canary_rate=_step_rate(state.canary_step, event, cut, opportunities(state.canary_step, event)),
        observable=_observable(state, event),
        group=group,
        past_quantile=None if cut is None else analysis.level_quantiles[cut],
    )


# --- E-values, many at once ------------------------------------------------------------------------------------------

Key = tuple[BadEvent, str]


def _of_sides(all_sides: Mapping[Key, Sides], levels: int) -> dict[Key, list[float]]:
    """The e-value of each side of each event and group."""
    found: dict[Key, list[float]] = {}
    for graded in (True, False):
        kind = [(key, side) for key, sides in all_sides.items() if (key[0] in GRADED) is graded for side in sides]
        for (key, _), e in zip(kind, e_values([side for _, side in kind], levels if graded else 1), strict=True):
            found.setdefault(key, []).append(e)
    return found


def _over_budget(state: JudgeState, rules: Sequence[EventPlan]) -> dict[BadEvent, float]:
    budgeted = [rule.event for rule in rules if rule.budget_rate is not None]
    found = e_of_rates([state.absolute.get(event, ()) for event in budgeted]) if budgeted else []
    return dict(zip(budgeted, found, strict=True))


def _tolerated(state: JudgeState, rules: Sequence[EventPlan]) -> dict[BadEvent, float]:
    bounds = {rule.event: rule.tolerated_rate for rule in rules if rule.tolerated_rate is not None}
    if not bounds:
        return {}
    hanging = _may_hang(state.canary_step)
    bad = [state.canary_step.bad.get(event, 0) + hanging for event in bounds]
    total = [max(one, state.canary_step.finished + hanging) for one in bad]
    return dict(zip(bounds, e_rates_below(list(bounds.values()), bad=bad, total=total), strict=True))


def _over_groups(by_group: Mapping[str, float], prompt_groups: int) -> float:
    """Half of the mixture is on all requests, half is spread over the lengths of prompts; of those not seen e is 1."""
    if not by_group:
        return 1.0
    unseen = prompt_groups - sum(1 for group in by_group if group != EVERY)
    parts = sum(e for group, e in by_group.items() if group != EVERY) + unseen
    return (by_group.get(EVERY, 1.0) + parts / prompt_groups) / 2


def _standing_out(by_group: Mapping[str, float], prompt_groups: int) -> str:
    """The group that adds most to the evidence: all requests, unless one length of prompt alone says more."""
    if not by_group:
        return EVERY
    weighted = {group: e if group == EVERY else e / prompt_groups for group, e in by_group.items()}
    return max(weighted, key=lambda group: (weighted[group], group == EVERY))


def _observable(state: JudgeState, event: BadEvent) -> bool:
    """Whether a request of the step could have shown the event: what could not is not waited for."""
    canary, reference = state.canary_step, state.reference_step
    if event in _OF_USAGE:
        return any(canary.levels.get(event, ())) or any(reference.levels.get(event, ()))
    return opportunities(canary, event) + (opportunities(reference, event) if event in OF_STREAMS else 0) > 0


def _telling_cut(profile: Profile) -> int:
    """The cut past which the canary's surplus is least to be expected by chance: people want one number."""

    def surprise(cut: int) -> float:
        total, expected = sum(profile.total[cut + 1 :]), sum(profile.expected[cut + 1 :])
        if not 0 < expected < total:
            return 0.0
        return abs(sum(profile.canary[cut + 1 :]) - expected) / sqrt(expected * (1 - expected / total))

    cuts = range(max(len(profile.total) - 1, 1))
    return max(cuts, key=surprise) if any(profile.total) else 0


def _past(profile: Profile, cut: int | None) -> tuple[int, int, float]:
    first = 0 if cut is None else cut + 1
    return sum(profile.canary[first:]), sum(profile.total[first:]), sum(profile.expected[first:])


def _step_rate(canary: Counts, event: BadEvent, cut: int | None, could: int) -> float:
    if cut is None:
        return canary.bad.get(event, 0) / could if could else 0.0
    levels = canary.levels.get(event, ())
    return sum(levels[cut + 1 :]) / sum(levels) if any(levels) else 0.0


def _may_hang(canary: Counts) -> int:
    """How many of the canary's requests are past their target and have not ended, at most: not taken for good ones.

    Without them those that hang would count as nothing until they time out, and what has finished would look clean.
    """
    return max(0, min(canary.assigned - canary.finished, canary.bad.get(BadEvent.OVER_TARGET, 0)))
