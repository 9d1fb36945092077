"""One look of the judge: from what happened since the last look to roll back, advance, hold or blind.

The rollback evidence runs over the whole rollout, so that one error budget holds for all its steps; the evidence
for promotion begins anew at each step, so that a release which is harmless at 5 % must show it again at 50 %.
"""

from __future__ import annotations

from dataclasses import replace

from ops.judge.counting import Cells, Counts, Difference
from ops.judge.evidence import Fallen, Profile, better_than, e_rate_above, e_rate_below, observe, worse_than
from ops.judge.model import Decision, EventEvidence, JudgeState, Look, Shares, Situation
from ops.judge.wording import describe_blind, describe_event, describe_step
from ops.rollout.plan import AnalysisPlan, EventPlan, Role
from ops.verdict import Evidence, Outcome, Verdict
from serving.contract import Arm, BadEvent

_LATENCY_EVENTS = frozenset({BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.OVER_TARGET})

_OUTCOMES = {
    Decision.ROLL_BACK: Outcome.FAIL,
    Decision.ADVANCE: Outcome.PASS,
    Decision.HOLD: Outcome.INCONCLUSIVE,
    Decision.BLIND: Outcome.INVALID,
}


def look(state: JudgeState, found: Difference, now: Situation, plan: AnalysisPlan) -> tuple[JudgeState, Look]:
    """The next state and the look. Pure: the same inputs give the same decision, which is what replays rely on."""
    state = replace(_entered(state, now), bases=found.bases)
    if not found.blind:
        state = _counted(state, found.increments, now, plan)
    events = tuple(_weigh(state, event, plan) for event in plan.events if event.role is not Role.OFF)
    unlike = _load_unlike(state, now, plan)
    decision, reasons = _decide(state, events, found.blind, unlike, now, plan)
    verdict = Verdict(_OUTCOMES[decision], reasons)
    return state, Look(decision, verdict, events, state.canary_step.assigned, state.reference_step.assigned)


def _entered(state: JudgeState, now: Situation) -> JudgeState:
    if state.epoch != now.epoch:
        state = replace(state, epoch=now.epoch, shares={})
    if state.step != now.step:
        state = replace(state, step=now.step, recent={}, canary_step=Counts(), reference_step=Counts())
    return state


def _counted(state: JudgeState, increments: Cells, now: Situation, plan: AnalysisPlan) -> JudgeState:
    shares, whole, recent = dict(state.shares), dict(state.whole), dict(state.recent)
    canary_all, reference_all = Counts(), Counts()
    for cell in sorted({cell for cell, _ in increments}):
        canary = increments.get((cell, Arm.CANARY), Counts())
        canary_all = canary_all.plus(canary)
        if now.reference is None:
            continue
        reference = increments.get((cell, now.reference), Counts())
        reference_all = reference_all.plus(reference)
        before = shares.get(cell, Shares())
        share = shares[cell] = _grown(before, canary, reference)
        for event in plan.events:
            on_canary, on_reference = canary.bad.get(event.event, 0), reference.bad.get(event.event, 0)
            if event.role is Role.OFF or not on_canary + on_reference:
                continue
            rate = _reference_rate(before, event.event)
            fallen = Fallen(on_canary, on_reference, _canary_share(share, event.event), rate)
            margin, harm = worse_than(event.margin_odds), better_than(event.harm_odds)
            whole[event.event] = observe(whole.get(event.event, Profile()), margin, fallen)
            recent[event.event] = observe(recent.get(event.event, Profile()), harm, fallen)
    return replace(
        state,
        shares=shares,
        whole=whole,
        recent=recent,
        canary_whole=state.canary_whole.plus(canary_all),
        canary_step=state.canary_step.plus(canary_all),
        reference_step=state.reference_step.plus(reference_all),
    )


def _grown(share: Shares, canary: Counts, reference: Counts) -> Shares:
    return Shares(
        share.canary + canary.assigned,
        share.reference + reference.assigned,
        share.canary_streamed + canary.streamed,
        share.reference_streamed + reference.streamed,
        Counts(bad=share.reference_bad).plus(reference).bad,
    )


def _canary_share(share: Shares, event: BadEvent) -> float:
    """Of the requests that could show the event, the canary's part: taken from what was assigned, not requested."""
    if event is BadEvent.SLOW_FIRST_TOKEN:
        canary, reference = share.canary_streamed, share.reference_streamed
    else:
        canary, reference = share.canary, share.reference
    return canary / (canary + reference) if canary + reference else 0.0


def _reference_rate(before: Shares, event: BadEvent) -> float:
    """The reference's rate of the event up to the look before, so that this look's chance has no part in it.

    Starts at 25 % of two requests: a guess that the first few real ones outweigh.
    """
    opportunities = before.reference_streamed if event is BadEvent.SLOW_FIRST_TOKEN else before.reference
    bad = min(before.reference_bad.get(event, 0), opportunities)
    return (bad + 0.5) / (opportunities + 2)


def _weigh(state: JudgeState, plan: EventPlan, analysis: AnalysisPlan) -> EventEvidence:
    event = plan.event
    whole, recent = state.whole.get(event, Profile()), state.recent.get(event, Profile())
    worse, harmless = whole.e_value, recent.e_value
    # The mean of two e-values is one: a second way to the same conclusion costs a factor of two, no error rate.
    if plan.budget_rate is not None:
        bad, total = state.canary_whole.bad.get(event, 0), state.canary_whole.assigned
        worse = (worse + e_rate_above(plan.budget_rate, bad=bad, total=max(bad, total))) / 2
    if plan.tolerated_rate is not None:
        hanging = _may_hang(state.canary_step)
        bad, total = state.canary_step.bad.get(event, 0) + hanging, state.canary_step.finished + hanging
        harmless = (harmless + e_rate_below(plan.tolerated_rate, bad=bad, total=max(bad, total))) / 2
    streamed_only = event is BadEvent.SLOW_FIRST_TOKEN
    opportunities = state.canary_step.streamed if streamed_only else state.canary_step.assigned
    return EventEvidence(
        event=event,
        role=plan.role,
        canary=whole.canary,
        total=whole.total,
        expected=whole.expected,
        e_worse=worse,
        e_worse_needed=len(analysis.critical) / analysis.false_rollback_rate_max,
        e_harmless=harmless,
        e_harmless_needed=1 / analysis.false_promotion_rate_max,
        canary_rate=state.canary_step.bad.get(event, 0) / opportunities if opportunities else 0.0,
        observable=opportunities + (state.reference_step.streamed if streamed_only else 0) > 0,
    )


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


def _decide(
    state: JudgeState,
    events: tuple[EventEvidence, ...],
    blind: tuple[str, ...],
    unlike: str | None,
    now: Situation,
    plan: AnalysisPlan,
) -> tuple[Decision, tuple[Evidence, ...]]:
    critical = [event for event in events if event.role is Role.CRITICAL]
    valid = [event for event in critical if not (unlike and event.event in _LATENCY_EVENTS)]
    if blind:
        # What was known before still stands, but nothing is decided on what cannot be seen now.
        return Decision.BLIND, tuple(describe_blind(reason) for reason in blind)
    worse = [event for event in valid if event.e_worse >= event.e_worse_needed]
    if worse:
        return Decision.ROLL_BACK, tuple(describe_event(event) for event in worse)
    if unlike:
        return Decision.BLIND, (describe_blind(unlike),)
    # Alone, only the absolute tests speak: those events are waited for that have one.
    tolerated = {event.event for event in plan.events if event.tolerated_rate is not None}
    able = [event for event in critical if event.observable and (now.reference or event.event in tolerated)]
    waiting = [event for event in able if event.e_harmless < event.e_harmless_needed]
    patient = now.seconds_in_step >= now.step_seconds_min
    enough = state.canary_step.assigned >= plan.requests_per_step_min
    words = (describe_step(now, state.canary_step, state.reference_step, plan), *map(describe_event, critical))
    return (Decision.ADVANCE if patient and enough and not waiting else Decision.HOLD), words

