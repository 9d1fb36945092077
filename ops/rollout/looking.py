"""A look of the judge within a rollout: what it is shown, and what follows from its answer."""

from __future__ import annotations

from dataclasses import replace

from msgspec.structs import replace as with_fields

from ops.judge.counting import Difference, difference
from ops.judge.judging import look
from ops.judge.model import Decision, JudgeState, Look, Situation
from ops.judge.wording import summary
from ops.rollout.assessing import serving_replicas, withheld
from ops.rollout.decided import Decided
from ops.rollout.observing import Observation
from ops.rollout.plan import JUDGE_VERSION, AnalysisPlan, Then
from ops.rollout.record import Rollout
from ops.rollout.recorded import Told, chained
from ops.rollout.sharing import canary_count, reference_arm
from ops.rollout.states import Event, State
from serving.contract import Arm, CounterSnapshot, Levels


def look_at(so_far: Decided, seen: Observation) -> Decided:
    rollout = so_far.running
    given = told(so_far, seen)
    judge, answer = take(rollout.judge, given, rollout.plan.analysis)
    blind = answer.decision is Decision.BLIND
    number, digest = rollout.looks + 1, chained(rollout.looks_digest, given)
    so_far = so_far.changed(
        judge=judge,
        looks=number,
        looks_digest=digest,
        looked_at=seen.now,
        blind_since=(rollout.blind_since if rollout.blind_since is not None else seen.now) if blind else None,
    )
    followed = _followed(replace(so_far, look=answer, told=given), answer, seen)
    return followed.citing(len(so_far.entries), {"look": number, "looks_digest": digest})


def take(state: JudgeState, given: Told, plan: AnalysisPlan) -> tuple[JudgeState, Look]:
    """The judge's look at what it is given. Live and in a replay this is the same."""
    found = difference(
        state.bases,
        given.snapshots,
        workers=given.workers,
        tier=given.tier,
        epoch=given.situation.epoch,
        now=given.at,
        age_seconds_max=plan.samples_age_seconds_max,
        faults={**given.unreachable, **given.uncounted},
    )
    if given.elsewhere:
        # The weight believed is the one observed: nothing is read while a worker follows another table.
        reason = f"{', '.join(given.elsewhere)} not yet on epoch {given.situation.epoch}"
        bases = found.bases if found.blind else dict(state.bases)
        found = Difference({}, bases, (*found.blind, reason))
    return look(state, found, given.situation, plan)


def told(so_far: Decided, seen: Observation) -> Told:
    """What the judge is to be told of a rollout whose release serves."""
    rollout, tier = so_far.running, so_far.tier
    read = seen.snapshots if seen.counted is None else seen.counted
    return Told(
        at=seen.now,
        tier=rollout.tier,
        situation=_situation(so_far, seen),
        workers=seen.worker_names,
        elsewhere=tuple(name for name in seen.lacking(tier.table) if name not in seen.unreachable),
        unreachable=dict(seen.unreachable),
        # What is measured is for cutting levels and for people, other tiers' cells for their own rollouts; kept with
        # the bases they would only swell the record.
        snapshots=tuple(_of_tier(snapshot, rollout.tier) for snapshot in read),
        judge_version=JUDGE_VERSION,
        uncounted=dict(seen.uncounted),
    )


def _of_tier(snapshot: CounterSnapshot, tier: str) -> CounterSnapshot:
    cells = tuple(cell for cell in snapshot.cells if cell.tier == tier)
    return with_fields(snapshot, cells=cells, measured=())


def _situation(so_far: Decided, seen: Observation) -> Situation:
    rollout, plan = so_far.running, so_far.running.plan
    served = rollout.served_step or 0
    step = plan.steps[served]
    reference = reference_arm(step, plan.analysis.load_per_replica_ratio_max)
    canary = canary_count(step, plan.stable_replicas)
    stable = so_far.tier.stable
    return Situation(
        step=served,
        epoch=so_far.tier.epoch,
        reference=reference,
        canary_replicas=canary,
        reference_replicas=canary if reference is Arm.BASELINE else len(stable.replicas) if stable else 0,
        seconds_in_step=seen.now - rollout.step_since,
        step_seconds_min=_step_seconds_min(rollout),
        levels=_levels_of(rollout, seen),
    )


def _levels_of(rollout: Rollout, seen: Observation) -> dict[str, dict[str, Levels]]:
    """Of the cells in which anything was counted: of the others the judge, and the look's record, need none."""
    counted = {(cell.task_class, cell.stratum) for snapshot in seen.snapshots for cell in snapshot.cells}
    return {
        task_class: {stratum: levels for stratum, levels in strata.items() if (task_class, stratum) in counted}
        for task_class, strata in rollout.levels.items()
    }


def _step_seconds_min(rollout: Rollout) -> float:
    pace = rollout.plan.pace
    return pace.bake_seconds if rollout.served_step == rollout.last_step else pace.step_seconds_min


def _followed(so_far: Decided, answer: Look, seen: Observation) -> Decided:
    rollout, now = so_far.running, seen.now
    words = summary(answer)
    doubt = withheld(rollout, serving_replicas(rollout), now)
    match answer.decision:
        case Decision.ROLL_BACK:
            return so_far.rolled_back(now, words)
        case Decision.BLIND if now - (rollout.blind_since or now) > rollout.plan.blind_seconds_max:
            reason = f"blind for more than {rollout.plan.blind_seconds_max:g} s: {words}"
            return _given_up(so_far, rollout.plan.blind_then, reason, now)
        case Decision.ADVANCE if rollout.state is State.ANALYSING and not seen.frozen and doubt is None:
            if rollout.served_step == rollout.last_step:
                # What becomes stable must be there in full; before other steps the preparation sees to it.
                return so_far.promoted(now, words) if seen.ready(rollout.canary) else so_far
            return so_far.moved(Event.ADVANCE, now, words, step=(rollout.served_step or 0) + 1)
        case Decision.HOLD | Decision.ADVANCE if (
            rollout.state is State.ANALYSING and _overdue(rollout, now) and not seen.frozen
        ):
            lacking = doubt[1] if doubt else words
            reason = f"no answer within {rollout.plan.pace.step_seconds_max:g} s: {lacking}"
            return _given_up(so_far, rollout.plan.inconclusive_then, reason, now)
        case _:
            return so_far


def _overdue(rollout: Rollout, now: float) -> bool:
    pace = rollout.plan.pace
    return now - rollout.step_since > max(pace.step_seconds_max, _step_seconds_min(rollout))


def _given_up(so_far: Decided, then: Then, reason: str, now: float) -> Decided:
    if then is Then.ROLLBACK:
        return so_far.rolled_back(now, reason)
    if so_far.running.state is State.PAUSED:
        return so_far
    return so_far.moved(Event.PAUSE, now, reason, step=so_far.running.served_step)
