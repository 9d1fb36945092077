"""What a look still waits for before the rollout may go on. Pure."""

from __future__ import annotations

from ops.cli.rollout_words import duration
from ops.judge.model import Decision, Look
from ops.rollout.plan import Role
from ops.rollout.record import Rollout
from ops.rollout.sharing import reference_arm
from ops.rollout.states import State
from serving.contract import Arm


def reference(rollout: Rollout) -> Arm | None:
    """Whom the canary is compared with at the step that it serves."""
    if rollout.served_step is None:
        return None
    return reference_arm(rollout.plan.steps[rollout.served_step], rollout.plan.analysis.load_per_replica_ratio_max)


def step_seconds_min(rollout: Rollout) -> float:
    """The shortest time of the step that it serves."""
    pace = rollout.plan.pace
    return pace.bake_seconds if rollout.served_step == rollout.last_step else pace.step_seconds_min


def waits_for(rollout: Rollout, look: Look | None, now: float) -> tuple[str, ...]:
    """What is lacking, in words; empty where nothing is, or where the rollout is not being judged."""
    if rollout.state is not State.ANALYSING or look is None or look.decision is not Decision.HOLD:
        return ()
    lacking = []
    missing = rollout.plan.analysis.requests_per_step_min - look.canary_assigned
    if missing > 0:
        lacking.append(f"{missing} more requests")
    seconds = step_seconds_min(rollout) - (now - rollout.step_since)
    if seconds > 0:
        lacking.append(f"{duration(seconds + 1)} more")
    if unshown := _unshown(rollout, look):
        lacking.append(f"evidence on {', '.join(unshown)}")
    return tuple(lacking)


def _unshown(rollout: Rollout, look: Look) -> list[str]:
    """The critical events not yet shown to be harmless; alone, only those with a tolerated rate can be shown so."""
    tolerated = {plan.event for plan in rollout.plan.analysis.events if plan.tolerated_rate is not None}
    alone = reference(rollout) is None
    return [
        event.event.value.replace("_", " ")
        for event in look.events
        if event.role is Role.CRITICAL
        and event.observable
        and event.e_harmless < event.e_harmless_needed
        and (not alone or event.event in tolerated)
    ]
