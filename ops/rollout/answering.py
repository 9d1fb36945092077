"""What the judge says of a rollout now, for whoever asks: a person, a pipeline, Argo Rollouts. Pure.

Asking changes nothing: a look that is asked for is not kept, and the rollout's own looks go on as they would have. The
error rates hold however often one looks, so they hold with these looks too.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.rollout.commanding import CommandRefused
from ops.rollout.decided import Decided
from ops.rollout.looking import take, told
from ops.rollout.observing import Observation
from ops.rollout.plan import JUDGE_VERSION
from ops.rollout.record import Rollout, Strategy, TierRecord
from ops.rollout.states import State
from ops.verdict import Evidence, Outcome, Verdict

SCHEMA = "gratefulgpt.judgement/1"


@dataclass(frozen=True)
class Judgement:
    """Flat, so that a pipeline finds the word it needs at the top: ``$.verdict``."""

    schema: str
    verdict: Outcome
    evidence: tuple[Evidence, ...]
    rollout: str
    tier: str
    release: str
    release_digest: str
    state: State
    step: int | None
    """The step that serves, from 1; None where the release serves nothing."""
    decision: str | None
    """What the look came to; None where there was nothing to look at."""
    at_unix_seconds: float
    looks: int
    """How many the rollout itself has had so far."""
    spec_digest: str
    judge_version: str


def answer(tier: TierRecord, rollout: Rollout, seen: Observation, step: int | None = None) -> Judgement:
    """About the step that serves, or about ``step`` (from 1): passed is passed, also once the next one serves.

    ``tier`` as it is now, if the rollout is active. Raises CommandRefused for a step that its plan does not have.
    """
    steps = len(rollout.plan.steps)
    if step is not None and not 1 <= step <= steps:
        raise CommandRefused(f"the plan of {rollout.id} has steps 1 to {steps}")
    verdict = conclusion(rollout) or _of_another_step(rollout, step)
    if verdict is not None:
        return judgement(rollout, verdict, seen.now)
    _, look = take(rollout.judge, told(Decided(tier, rollout), seen), rollout.plan.analysis)
    return judgement(rollout, look.verdict, seen.now, look.decision.value)


def _of_another_step(rollout: Rollout, step: int | None) -> Verdict | None:
    serving = (rollout.served_step or 0) + 1
    if step is None or step == serving:
        return None
    if step > serving:
        return _only(Outcome.INCONCLUSIVE, f"it serves step {serving}, and step {step} not yet")
    if rollout.promote_requested:
        return _only(Outcome.INCONCLUSIVE, f"it serves step {serving}; somebody decided it, not the evidence")
    return _only(Outcome.PASS, f"step {step} was passed: it serves step {serving}")


def conclusion(rollout: Rollout) -> Verdict | None:
    """The verdict where the state alone says it; None where the release serves beside another and can be looked at."""
    words = f"{rollout.state.value.replace('_', ' ')}: {rollout.reason}"
    match rollout.state:
        case State.ROLLING_BACK | State.ROLLED_BACK | State.REFUSED:
            return _only(Outcome.FAIL, words)
        case State.PROMOTING | State.PROMOTED if rollout.strategy is Strategy.DIRECT:
            return _only(Outcome.INCONCLUSIVE, f"{words}; it went straight to stable, compared with nothing")
        case State.PROMOTING | State.PROMOTED if rollout.promote_requested:
            return _only(Outcome.INCONCLUSIVE, f"{words}; somebody decided it, not the evidence")
        case State.PROMOTING | State.PROMOTED:
            return _only(Outcome.PASS, words)
        case State.SUSPENDED:
            return _only(Outcome.INVALID, f"{words}; nothing is seen of it meanwhile")
        case _ if not rollout.serves:
            return _only(Outcome.INCONCLUSIVE, f"{words}; it serves nothing yet")
        case _:
            return None


def _only(outcome: Outcome, words: str) -> Verdict:
    return Verdict(outcome, (Evidence(words),))


def judgement(rollout: Rollout, verdict: Verdict, at: float, decision: str | None = None) -> Judgement:
    return Judgement(
        schema=SCHEMA,
        verdict=verdict.outcome,
        evidence=verdict.evidence,
        rollout=rollout.id,
        tier=rollout.tier,
        release=rollout.release.name,
        release_digest=rollout.release.digest,
        state=rollout.state,
        step=None if rollout.served_step is None else rollout.served_step + 1,
        decision=decision,
        at_unix_seconds=at,
        looks=rollout.looks,
        spec_digest=rollout.plan.spec_digest,
        judge_version=JUDGE_VERSION,
    )
