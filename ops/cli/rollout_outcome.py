"""What a rollout's state means for an exit code."""

from __future__ import annotations

from ops.rollout.record import Rollout
from ops.rollout.states import State
from ops.verdict import Evidence, Outcome, Verdict

_ENDS = {State.PROMOTED: Outcome.PASS, State.ROLLED_BACK: Outcome.FAIL, State.REFUSED: Outcome.FAIL}


def end_verdict(rollout: Rollout) -> Verdict | None:
    """The verdict of a rollout that has ended; None while it runs."""
    outcome = _ENDS.get(rollout.state)
    return _verdict(outcome, rollout) if outcome else None


def standstill_verdict(rollout: Rollout) -> Verdict | None:
    """The verdict on a rollout that only a person moves on: paused, or suspended by hand. None where it goes on."""
    if rollout.state is State.PAUSED:
        return _verdict(Outcome.INCONCLUSIVE if rollout.blind_since is None else Outcome.INVALID, rollout)
    if rollout.state is State.SUSPENDED and rollout.needs_resume:
        return _verdict(Outcome.INVALID, rollout)
    return None


def _verdict(outcome: Outcome, rollout: Rollout) -> Verdict:
    return Verdict(outcome, (Evidence(f"{rollout.state.value}: {rollout.reason}"),))
