"""What people may ask of a rollout: pure functions from the records to the next records, or a refusal with the mend."""

from __future__ import annotations

from dataclasses import replace

from ops.rollout.decided import Decided, Entry, promised
from ops.rollout.plan import RolloutPlan
from ops.rollout.record import Release, Rollout, Strategy, TierRecord
from ops.rollout.states import Event, IllegalTransition, State


class CommandRefused(Exception):
    """What was asked contradicts the state of things. Nothing was changed."""


def start(
    tier: TierRecord,
    active: Rollout | None,
    release: Release,
    plan: RolloutPlan,
    *,
    rollout_id: str,
    now: float,
    actor: str,
    frozen: str | None,
    foreseen: dict[str, object] | None = None,
) -> Decided:
    """A new rollout of ``release``: a canary, or straight to stable on a tier that serves nothing yet.

    ``foreseen`` goes into the journal: why its margins are what they are, and what it can detect.
    """
    _require_none_active(active)
    if frozen is not None:
        raise CommandRefused(f"releases are frozen: {frozen}; lift it with 'ops freeze off'")
    _require_other(tier, release)
    rollout = Rollout(
        id=rollout_id,
        tier=tier.tier,
        release=release,
        strategy=Strategy.CANARY if tier.stable else Strategy.DIRECT,
        plan=plan,
        created_at=now,
        created_by=actor,
        state_since=now,
        reason="started",
        step=0 if tier.stable else len(plan.steps) - 1,
        baseline_release=tier.stable.release if tier.stable else None,
    )
    entry = _started(rollout, f"{rollout.strategy.value} rollout of {release.name}")
    return Decided(tier, rollout, (replace(entry, payload={**entry.payload, **(foreseen or {})}),))


def return_to(
    tier: TierRecord,
    active: Rollout | None,
    release: Release,
    plan: RolloutPlan,
    *,
    rollout_id: str,
    now: float,
    actor: str,
    reason: str,
) -> Decided:
    """Back to an earlier release, straight: on its retained replicas if they still run, on new ones otherwise.

    A freeze does not hold this up: it is the way out of trouble.
    """
    _require_none_active(active)
    _require_other(tier, release)
    kept = tier.retained.fleet if tier.retained and tier.retained.fleet.release.name == release.name else None
    rollout = Rollout(
        id=rollout_id,
        tier=tier.tier,
        release=release,
        strategy=Strategy.DIRECT,
        plan=plan,
        created_at=now,
        created_by=actor,
        state_since=now,
        reason=reason,
        step=len(plan.steps) - 1,
        canary=kept.replicas if kept else (),
        reused=kept is not None,
    )
    how = "its replicas still run" if kept else "its replicas start anew"
    return Decided(tier, rollout, (_started(rollout, f"return to {release.name}: {reason}; {how}"),))


def _started(rollout: Rollout, reason: str) -> Entry:
    actor, state = rollout.created_by, rollout.state.value
    return Entry("started", reason, to_state=state, actor=actor, payload=promised(rollout))


def _require_none_active(active: Rollout | None) -> None:
    if active is not None:
        raise CommandRefused(
            f"rollout {active.id} of {active.release.name} is {active.state.value}: "
            "wait for its end, or end it with 'ops canary rollback'"
        )


def _require_other(tier: TierRecord, release: Release) -> None:
    if release.tier != tier.tier:
        raise CommandRefused(f"release {release.name} is for tier {release.tier}, not {tier.tier}")
    if tier.stable and tier.stable.release.name == release.name:
        raise CommandRefused(f"{release.name} is the stable release of {tier.tier} already")


def pause(so_far: Decided, now: float, actor: str, reason: str) -> Decided:
    rollout = so_far.running
    if rollout.served_step is None and rollout.state in (State.PREPARING, State.WARMING):
        raise CommandRefused("it serves nothing yet, so there is nothing to hold; 'ops canary rollback' ends it")
    return _by(actor, _moved(so_far, Event.PAUSE, now, reason or f"paused by {actor}", step=rollout.served_step))


def resume(so_far: Decided, now: float, actor: str, reason: str) -> Decided:
    """From a pause on with the same step, its clock begun anew; from a suspension on with fresh, warmed replicas."""
    rollout = so_far.running
    reason = reason or f"resumed by {actor}"
    if rollout.state is State.SUSPENDED:
        # The controller resumes it once every worker answers: here only the hand's veto is taken back.
        if not rollout.needs_resume:
            raise CommandRefused("it resumes by itself as soon as every gateway worker answers")
        entry = Entry("resume", reason, actor=actor)
        return replace(so_far.changed(needs_resume=False, reason=reason), entries=(*so_far.entries, entry))
    return _by(actor, _moved(so_far, Event.RESUME, now, reason, step_since=now, blind_since=None))


def promote(so_far: Decided, now: float, actor: str, reason: str) -> Decided:
    """On to the last step whatever the judge lacks; capacity first, and evidence of harm still rolls it back."""
    rollout = so_far.running
    reason = reason or f"promoted by {actor}"
    if rollout.state is State.SUSPENDED:
        raise CommandRefused("it is suspended: resume it first")
    if rollout.state not in (State.PREPARING, State.WARMING, State.ANALYSING, State.PAUSED):
        raise CommandRefused(f"it is {rollout.state.value}: too late to promote it")
    so_far = so_far.changed(promote_requested=True)
    if rollout.served_step is not None and rollout.served_step == rollout.last_step:
        return _by(actor, so_far.promoted(now, reason))
    if rollout.state in (State.ANALYSING, State.PAUSED):
        return _by(actor, _moved(so_far, Event.ADVANCE, now, reason, step=rollout.last_step))
    return replace(so_far, entries=(*so_far.entries, Entry("promote", reason, actor=actor)))


def roll_back(so_far: Decided, now: float, actor: str, reason: str) -> Decided:
    return _by(actor, _moved(so_far, Event.ROLL_BACK, now, reason or f"rolled back by {actor}", served_step=None))


def _moved(so_far: Decided, event: Event, now: float, reason: str, **changes: object) -> Decided:
    try:
        return so_far.moved(event, now, reason, **changes)
    except IllegalTransition as e:
        raise CommandRefused(str(e)) from e


def _by(actor: str, decided: Decided) -> Decided:
    return replace(decided, entries=tuple(replace(entry, actor=actor) for entry in decided.entries))
