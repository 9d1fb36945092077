"""One look of the judge: from what happened since the last look to roll back, advance, hold or blind.

The rollback evidence runs over the whole rollout, so that one error budget holds for all its steps; the evidence
for promotion begins anew at each step, so that a release which is harmless at 5 % must show it again at 50 %.
"""

from __future__ import annotations

from ops.judge.counting import Difference
from ops.judge.gathering import gathered
from ops.judge.keeping import CANARY_STEP, REFERENCE_STEP
from ops.judge.model import Decision, EventEvidence, JudgeState, Look, Situation, kept_by, remembering
from ops.judge.rules import rules_of
from ops.judge.tables import ASSIGNED, table_of
from ops.judge.weighing import weighed
from ops.judge.wording import describe_blind, describe_event, describe_step, describe_together
from ops.rollout.plan import AnalysisPlan, Role
from ops.verdict import Evidence, Outcome, Verdict
from serving.contract import BadEvent

_LATENCY_EVENTS = frozenset({BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS, BadEvent.OVER_TARGET})
DOUBT_E = 2.0
"""Evidence against the canary from which on it is not advanced. That of a canary that is no worse shrinks with time."""

_OUTCOMES = {
    Decision.ROLL_BACK: Outcome.FAIL,
    Decision.ADVANCE: Outcome.PASS,
    Decision.HOLD: Outcome.INCONCLUSIVE,
    Decision.BLIND: Outcome.INVALID,
}


def look(state: JudgeState, found: Difference, now: Situation, plan: AnalysisPlan) -> tuple[JudgeState, Look]:
    """The next state and the look. Pure: the same inputs give the same decision, which is what replays rely on."""
    rules = rules_of(plan.events)
    kept = kept_by(state, rules, len(plan.level_quantiles) + 1)
    # At a new epoch the shares begin anew, at a new step the evidence for promotion does.
    if state.epoch != now.epoch:
        kept = kept.in_new_epoch()
    if state.step != now.step:
        kept = kept.in_new_step()
    if not found.blind:
        kept = gathered(kept, table_of(found.increments), now, rules, plan.level_quantiles)
    assigned = int(kept.totals[CANARY_STEP, ASSIGNED]), int(kept.totals[REFERENCE_STEP, ASSIGNED])
    events = weighed(kept, rules, plan)
    unlike = _load_unlike(assigned, now, plan)
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
        decision = _advance_or_hold(assigned[0], critical, now, plan)
        words = describe_step(now, *assigned, plan)
        reasons = (words, *map(describe_event, critical))
    verdict = Verdict(_OUTCOMES[decision], reasons)
    state = remembering(kept, epoch=now.epoch, step=now.step, bases=found.bases)
    return state, Look(decision, verdict, events, *assigned, e_together=together)


def _load_unlike(assigned: tuple[int, int], now: Situation, plan: AnalysisPlan) -> str | None:
    """Why the arms' latencies cannot be compared, or None."""
    canary, reference = assigned
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
    canary_assigned: int, critical: list[EventEvidence], now: Situation, plan: AnalysisPlan
) -> Decision:
    # Alone, only the absolute tests speak: those events are waited for that have one.
    tolerated = {event.event for event in plan.events if event.tolerated_rate is not None}
    able = [event for event in critical if event.observable and (now.reference or event.event in tolerated)]
    # While something still speaks against the canary its case is open, whatever speaks for it: a tail grown heavier
    # shows less than a shift, and would pass for "not so many times as slow" long before it is found.
    waiting = [event for event in able if event.e_harmless < event.e_harmless_needed or event.e_worse >= DOUBT_E]
    patient = now.seconds_in_step >= now.step_seconds_min
    enough = canary_assigned >= plan.requests_per_step_min
    return Decision.ADVANCE if patient and enough and not waiting else Decision.HOLD
