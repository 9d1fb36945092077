"""One look of the judge: from what happened since the last look to roll back, advance, hold or blind.

The rollback evidence runs over the whole rollout, so that one error budget holds for all its steps; the evidence
for promotion begins anew at each step, so that a release which is harmless at 5 % must show it again at 50 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from statistics import fmean

from ops.judge.counting import Counts, Difference
from ops.judge.evidence import Profile, e_of_rate, e_rate_below, e_value
from ops.judge.gathering import EVERY, entered, gathered, opportunities
from ops.judge.model import Decision, EventEvidence, JudgeState, Look, Sides, Situation
from ops.judge.wording import describe_blind, describe_event, describe_step, describe_together
from ops.rollout.plan import AnalysisPlan, EventPlan, Role
from ops.verdict import Evidence, Outcome, Verdict
from serving.contract import GRADED, OF_STREAMS, BadEvent

_LATENCY_EVENTS = frozenset({BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS, BadEvent.OVER_TARGET})
_OF_USAGE = frozenset({BadEvent.SLOW_TOKENS, BadEvent.OUTPUT_LENGTH})
"""Seen only of whole answers whose engine told how many tokens they have."""

_OUTCOMES = {
    Decision.ROLL_BACK: Outcome.FAIL,
    Decision.ADVANCE: Outcome.PASS,
    Decision.HOLD: Outcome.INCONCLUSIVE,
    Decision.BLIND: Outcome.INVALID,
}


def look(state: JudgeState, found: Difference, now: Situation, plan: AnalysisPlan) -> tuple[JudgeState, Look]:
    """The next state and the look. Pure: the same inputs give the same decision, which is what replays rely on."""
    state = replace(entered(state, now), bases=found.bases)
    if not found.blind:
        state = gathered(state, found.increments, now, plan)
    events = tuple(_weigh(state, event, plan) for event in plan.events if event.role is not Role.OFF)
    unlike = _load_unlike(state, now, plan)
    critical = [event for event in events if event.role is Role.CRITICAL]
    valid = [event for event in critical if not (unlike and event.event in _LATENCY_EVENTS)]
    together = sum(event.e_worse for event in valid)
    if found.blind:
        # What was known before still stands, but nothing is decided on what cannot be seen now.
        decision, reasons = Decision.BLIND, tuple(describe_blind(reason) for reason in found.blind)
    elif valid and together >= valid[0].e_worse_needed:
        decision, reasons = Decision.ROLL_BACK, _against(valid, together)
    elif unlike:
        decision, reasons = Decision.BLIND, (describe_blind(unlike),)
    else:
        decision = _advance_or_hold(state, critical, now, plan)
        words = describe_step(now, state.canary_step, state.reference_step, plan)
        reasons = (words, *map(describe_event, critical))
    verdict = Verdict(_OUTCOMES[decision], reasons)
    assigned = state.canary_step.assigned, state.reference_step.assigned
    return state, Look(decision, verdict, events, *assigned, e_together=together)


def _weigh(state: JudgeState, plan: EventPlan, analysis: AnalysisPlan) -> EventEvidence:
    event = plan.event
    levels = len(analysis.level_quantiles) + 1 if event in GRADED else 1
    groups, recent = state.whole.get(event, {}), state.recent.get(event, (Profile(),))
    # The mean of e-values is one: a second way to the same conclusion costs a factor of two, no error rate.
    by_group = {group: fmean(e_value(side, levels) for side in sides) for group, sides in groups.items()}
    worse = _over_groups(by_group, analysis.prompt_groups)
    harmless = min(e_value(side, levels) for side in recent)
    group = _standing_out(by_group, analysis.prompt_groups)
    whole = groups.get(group, (Profile(),))
    if plan.budget_rate is not None:
        worse = (worse + e_of_rate(state.absolute.get(event, ()))) / 2
    if plan.tolerated_rate is not None:
        hanging = _may_hang(state.canary_step)
        bad, total = state.canary_step.bad.get(event, 0) + hanging, state.canary_step.finished + hanging
        harmless = (harmless + e_rate_below(plan.tolerated_rate, bad=bad, total=max(bad, total))) / 2
    cut = _telling_cut(whole[0]) if event in GRADED else None
    canary, total_fallen, expected = _past(whole, cut)
    could = opportunities(state.canary_step, event)
    return EventEvidence(
        event=event,
        role=plan.role,
        canary=canary,
        total=total_fallen,
        expected=expected,
        e_worse=worse,
        e_worse_needed=len(analysis.critical) / analysis.false_rollback_rate_max,
        e_harmless=harmless,
        e_harmless_needed=1 / analysis.false_promotion_rate_max,
        canary_rate=_step_rate(state.canary_step, event, cut, could),
        observable=_observable(state, event),
        group=group,
        past_quantile=None if cut is None else analysis.level_quantiles[cut],
    )


def _over_groups(by_group: Mapping[str, float], prompt_groups: int) -> float:
    """Half of the mixture is on all requests, half is spread over the lengths of prompts; of those not seen e is 1."""
    unseen = prompt_groups - sum(1 for group in by_group if group != EVERY)
    parts = sum(e for group, e in by_group.items() if group != EVERY) + unseen
    return (by_group.get(EVERY, 1.0) + parts / prompt_groups) / 2


def _standing_out(by_group: Mapping[str, float], prompt_groups: int) -> str:
    """The group that adds most to the evidence: all requests, unless one length of prompt alone says more."""
    weighted = {group: e if group == EVERY else e / prompt_groups for group, e in by_group.items()}
    return max(weighted, key=lambda group: (weighted[group], group == EVERY), default=EVERY)


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


def _past(sides: Sides, cut: int | None) -> tuple[int, int, float]:
    profile, first = sides[0], 0 if cut is None else cut + 1
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


def _load_unlike(state: JudgeState, now: Situation, plan: AnalysisPlan) -> str | None:
    """Why the arms' latencies cannot be compared, or None."""
    canary, reference = state.canary_step.assigned, state.reference_step.assigned
    if now.reference is None or min(canary, reference) < plan.requests_per_step_min:
        return None
    loads = (canary / max(now.canary_replicas, 1), reference / max(now.reference_replicas, 1))
    ratio = max(loads) / min(loads)
    if ratio <= plan.load_per_replica_ratio_max:
        return None
    return (
        f"a canary replica got {loads[0]:.0f} requests and a replica of {now.reference} {loads[1]:.0f}: "
        f"{ratio:.1f} times apart, where {plan.load_per_replica_ratio_max:g} is the limit, so latency says nothing"
    )


def _against(valid: list[EventEvidence], together: float) -> tuple[Evidence, ...]:
    """Those that speak against the canary, the strongest first, and whether it took them together."""
    ranked = sorted(valid, key=lambda event: event.e_worse, reverse=True)
    # What would be evidence in its favour, the other way round, is worth telling too: it may name the cause.
    speaking = [event for event in ranked if event.e_worse >= event.e_harmless_needed]
    alone = any(event.e_worse >= event.e_worse_needed for event in ranked)
    first = () if alone else (describe_together(together, valid[0].e_worse_needed),)
    return (*first, *map(describe_event, speaking))


def _advance_or_hold(
    state: JudgeState, critical: list[EventEvidence], now: Situation, plan: AnalysisPlan
) -> Decision:
    # Alone, only the absolute tests speak: those events are waited for that have one.
    tolerated = {event.event for event in plan.events if event.tolerated_rate is not None}
    able = [event for event in critical if event.observable and (now.reference or event.event in tolerated)]
    # What speaks against the canary as strongly as it must speak for it is waited for too: one of the two is mistaken.
    waiting = [
        event
        for event in able
        if event.e_harmless < event.e_harmless_needed or event.e_worse >= event.e_harmless_needed
    ]
    patient = now.seconds_in_step >= now.step_seconds_min
    enough = state.canary_step.assigned >= plan.requests_per_step_min
    return Decision.ADVANCE if patient and enough and not waiting else Decision.HOLD
