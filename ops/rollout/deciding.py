"""What to do next: a pure step from what is recorded and what was seen to what is recorded next.

Nothing here acts. The records say which replicas should run and which table the workers should hold; whoever
calls ``decide`` saves them first and then makes them true, again and again. A controller that dies between the
two loses nothing: the next one finds the records and makes them true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ops.judge.levels import cut_levels, levels_of_targets, measured
from ops.rollout.assessing import awaited, kept_waiting, probed
from ops.rollout.calibrating import calibrated, starting_point
from ops.rollout.decided import Decided, Entry
from ops.rollout.looking import look_at
from ops.rollout.observing import Observation
from ops.rollout.record import Rollout, Strategy, TierRecord
from ops.rollout.replicas import ReplicaSpec
from ops.rollout.routing import serves_alone, table_in_force
from ops.rollout.sharing import replicas_for
from ops.rollout.states import ENDED, JUDGED, Event, State
from ops.rollout.timing import on_clock
from serving.contract import Arm, Levels, RouteState


def decide(tier: TierRecord, rollout: Rollout | None, seen: Observation) -> Decided:
    so_far = on_clock(Decided(tier, rollout), seen.now, seen.clock)
    rollout = so_far.rollout
    if rollout and rollout.state not in ENDED:
        so_far = _suspended_by_workers(so_far, seen)
        so_far = probed(so_far, seen)
        so_far = _looked(so_far, seen)
        so_far = calibrated(so_far, seen)
        so_far = _HANDLERS[so_far.running.state](so_far, seen)
    so_far = _retired(so_far, seen.now)
    return _routed(so_far, seen)


# --- What may happen in any state -------------------------------------------------------------------------------


def _suspended_by_workers(so_far: Decided, seen: Observation) -> Decided:
    """The workers' own return to stable (a lease that ran out, a hand that forced it) outranks the record.

    A hand on the brake holds whatever is under way, even before it serves; and what somebody had paused does not go
    on by itself: in both cases only a hand resumes it.
    """
    rollout = so_far.running
    if rollout.state not in JUDGED:
        return so_far
    for name, state in sorted(seen.workers.items()):
        if state is None or state.table.epoch < so_far.tier.epoch or state.state is RouteState.ACTIVE:
            continue
        forced = state.state is RouteState.FORCED_STABLE
        if not (forced or rollout.serves):
            continue
        if forced and state.forced_by:
            reason = f"{state.forced_by.actor} sent everything to stable on {name}: {state.forced_by.reason}"
        else:
            reason = f"{name} returned to stable: nobody renewed its lease for {rollout.plan.lease_seconds:g} s"
        by_hand = forced or rollout.state is State.PAUSED
        return so_far.moved(Event.SUSPEND, seen.now, reason, served_step=None, needs_resume=by_hand)
    return so_far


def _looked(so_far: Decided, seen: Observation) -> Decided:
    """The judge's look, when one is due; what it knows of harm is acted on in every state that serves."""
    rollout = so_far.running
    due = seen.now - rollout.looked_at >= rollout.plan.pace.look_seconds
    if not rollout.serves or not due:
        return so_far
    return look_at(so_far, seen)


def _retired(so_far: Decided, now: float) -> Decided:
    retained = so_far.tier.retained
    if retained is None or now < retained.until:
        return so_far
    entry = Entry("retired", f"the rollback window of {retained.fleet.release.name} has passed; its replicas end")
    return replace(so_far, tier=replace(so_far.tier, retained=None), entries=(*so_far.entries, entry))


def _routed(so_far: Decided, seen: Observation) -> Decided:
    tier, reason = table_in_force(so_far.tier, so_far.rollout, seen)
    if tier == so_far.tier:
        return so_far
    routes = tier.table.routes if tier.table else ()
    weights = {route.arm.value: route.weight for route in routes}
    releases = {route.arm.value: route.release for route in routes}
    entry = Entry("routes", reason, payload={"epoch": tier.epoch, "weights": weights, "releases": releases})
    return replace(so_far, tier=tier, entries=(*so_far.entries, entry) if reason else so_far.entries)


# --- State by state ---------------------------------------------------------------------------------------------


def _preparing(so_far: Decided, seen: Observation) -> Decided:
    rollout = so_far.running
    if not rollout.reused:
        if seen.artefact is None:
            return so_far
        if not seen.artefact.ok:
            return _artefact_refused(so_far, seen)
        if (waiting := awaited(so_far, seen)) is not None:
            return waiting
    canary, baseline = replicas_for(rollout, rollout.step)
    if rollout.served_step is not None:  # what serves keeps running until the next step's table is out
        served_canary, served_baseline = replicas_for(rollout, rollout.served_step)
        canary = tuple(dict.fromkeys((*served_canary, *canary)))
        baseline = tuple(dict.fromkeys((*served_baseline, *baseline)))
    so_far = so_far.changed(canary=canary, baseline=baseline)
    wanted = (*canary, *baseline)
    if failed := seen.exhausted(wanted):
        reason = f"replica {failed.name} does not start: {failed.detail or 'it keeps ending'}"
        return so_far.rolled_back(seen.now, reason)
    stable = so_far.tier.stable
    if seen.ready(wanted) and (rollout.strategy is Strategy.DIRECT or (stable and seen.ready(stable.replicas))):
        return so_far.moved(Event.READY, seen.now, f"{len(wanted)} replicas are ready")
    if seen.now - max(rollout.state_since, rollout.transcripts_at or 0) > rollout.plan.prepare_seconds_max:
        reason = f"its replicas were not ready within {rollout.plan.prepare_seconds_max:g} s"
        return so_far.rolled_back(seen.now, reason)
    return so_far


def _artefact_refused(so_far: Decided, seen: Observation) -> Decided:
    rollout = so_far.running
    reason = f"the artefact is not what was registered: {seen.artefact.reason if seen.artefact else ''}"
    served = rollout.serves or rollout.looks or rollout.generation
    if served or rollout.state is not State.PREPARING:
        return so_far.rolled_back(seen.now, reason)
    return so_far.moved(Event.REFUSE, seen.now, reason, canary=(), baseline=())


def new_replicas(rollout: Rollout) -> tuple[ReplicaSpec, ...]:
    """Those of the step being prepared that do not serve yet: what must be warmed."""
    wanted = [replica for part in replicas_for(rollout, rollout.step) for replica in part]
    if rollout.served_step is None:
        return tuple(wanted)
    serving = {replica for part in replicas_for(rollout, rollout.served_step) for replica in part}
    return tuple(replica for replica in wanted if replica not in serving)


def _warming(so_far: Decided, seen: Observation) -> Decided:
    rollout = so_far.running
    if failed := seen.exhausted((*rollout.canary, *rollout.baseline)):
        return so_far.rolled_back(seen.now, f"replica {failed.name} ended while it was warmed: {failed.detail}")
    if not rollout.reused:
        # Its files are checked again: they may have been changed while the engines read them.
        if seen.artefact is not None and not seen.artefact.ok:
            return _artefact_refused(so_far, seen)
        results = [seen.warmed.get(replica.name) for replica in new_replicas(rollout)]
        failures = [result.reason for result in results if result and not result.ok]
        if failures:
            return so_far.rolled_back(seen.now, f"warm-up failed: {failures[0]}")
        if seen.artefact is None or not all(results):
            return so_far
        canary = tuple(replica for replica in new_replicas(rollout) if replica in rollout.canary)
        if (waiting := kept_waiting(so_far, seen, canary)) is not None:
            return waiting
    if rollout.serves and rollout.blind_since is not None:
        return so_far  # blind never advances
    if seen.frozen and rollout.strategy is Strategy.CANARY:
        return so_far
    if rollout.strategy is Strategy.DIRECT:
        return so_far.promoted(seen.now, "its replicas are warm")
    if rollout.promote_requested and rollout.step == rollout.last_step:
        return so_far.promoted(seen.now, "promoted by hand; its replicas are warm")
    weight = rollout.plan.steps[rollout.step].weight / 100
    return so_far.moved(
        Event.WARMED,
        seen.now,
        f"warm; {weight:g} % of new requests go to it",
        served_step=rollout.step,
        step_since=seen.now,
        blind_since=None,
        looked_at=seen.now,
        levels=rollout.levels or _first_levels(rollout, seen),
        calibration=starting_point(rollout, rollout.step, seen.snapshots),
        calibrated_requests=0,
    )


def _first_levels(rollout: Rollout, seen: Observation) -> dict[str, dict[str, Levels]]:
    """Cut from what stable showed before; where it showed too little, at the class's target."""
    plan, analysis = rollout.plan, rollout.plan.analysis
    targets = levels_of_targets(plan.latency_targets, plan.strata, analysis.level_quantiles)
    history = measured(seen.snapshots, rollout.tier, frozenset({Arm.STABLE}))
    return cut_levels(
        history, targets, quantiles=analysis.level_quantiles, history_min=analysis.level_history_min
    )


def _analysing(so_far: Decided, seen: Observation) -> Decided:
    """Its look has been taken already; what is left is a request to promote, and replicas of the step before."""
    so_far = _trimmed(so_far, seen)
    rollout = so_far.running
    if failed := seen.exhausted((*rollout.canary, *rollout.baseline)):
        return so_far.rolled_back(seen.now, f"replica {failed.name} keeps ending: {failed.detail or 'no reason given'}")
    if not rollout.promote_requested or rollout.state is not State.ANALYSING or seen.frozen:
        return so_far
    if rollout.served_step == rollout.last_step:
        return so_far.promoted(seen.now, "promoted by hand")
    return so_far.moved(Event.ADVANCE, seen.now, "promoted by hand: on to the last step", step=rollout.last_step)


def _trimmed(so_far: Decided, seen: Observation) -> Decided:
    """Without the replicas that only the step before needed, once what ran on them has finished."""
    rollout = so_far.running
    canary, baseline = replicas_for(rollout, rollout.served_step or 0)
    if set(rollout.baseline) <= set(baseline) and set(rollout.canary) <= set(canary):
        return so_far
    if seen.lacking(so_far.tier.table) or not _drained(so_far, seen, rollout.step_since, Arm.BASELINE):
        return so_far
    return so_far.changed(canary=canary, baseline=baseline)


def _drained(so_far: Decided, seen: Observation, since: float, *arms: Arm) -> bool:
    """Whether nothing runs on ``arms`` any more, or it has had its time since ``since``."""
    rollout = so_far.running
    return not seen.in_flight(rollout.tier, *arms) or seen.now - since > rollout.plan.drain_seconds_max


def _suspended(so_far: Decided, seen: Observation) -> Decided:
    rollout = so_far.running
    if rollout.needs_resume or seen.lacking(so_far.tier.table):
        return so_far
    if not _drained(so_far, seen, rollout.state_since, Arm.CANARY, Arm.BASELINE):
        return so_far
    return so_far.moved(
        Event.RESUME,
        seen.now,
        "all workers answer again; it is warmed anew",
        generation=rollout.generation + 1,
        canary=rollout.canary if rollout.reused else (),
        baseline=(),
        blind_since=None,
    )


def _promoting(so_far: Decided, seen: Observation) -> Decided:
    stable, table = so_far.tier.stable, so_far.tier.table
    # The table in force may still be the one before, while the new stable's is being made.
    if stable is None or not serves_alone(table, stable) or seen.lacking(table):
        return so_far
    return so_far.moved(Event.SETTLED, seen.now, f"every worker serves it; {so_far.running.reason}")


def _rolling_back(so_far: Decided, seen: Observation) -> Decided:
    rollout = so_far.running
    waited = seen.now - rollout.state_since
    table = so_far.tier.table
    if table is not None:
        lacking = set(seen.lacking(table))
        # A worker that cannot be reached has gone back by itself once its lease has run out.
        excused = set(seen.unreachable) if waited > rollout.plan.lease_seconds else set()
        if lacking - excused or table.lease_seconds is not None:
            return so_far
    if not _drained(so_far, seen, rollout.state_since, Arm.CANARY, Arm.BASELINE):
        return so_far
    left = seen.in_flight(rollout.tier, Arm.CANARY, Arm.BASELINE)
    how = f"{left} requests cut after {waited:.0f} s" if left else "what ran on it has finished"
    return so_far.moved(Event.SETTLED, seen.now, f"{rollout.reason}; {how}", canary=(), baseline=())


_HANDLERS: dict[State, Callable[[Decided, Observation], Decided]] = {
    State.PREPARING: _preparing,
    State.WARMING: _warming,
    State.ANALYSING: _analysing,
    State.PAUSED: _analysing,
    State.SUSPENDED: _suspended,
    State.PROMOTING: _promoting,
    State.ROLLING_BACK: _rolling_back,
}
