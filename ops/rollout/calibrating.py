"""Where levels are cut, taken anew at each step from the arm that the canary is compared with.

Stable's history is a poor guide where stable carries another load per replica than the compared arms: its p75 may lie
where they never come, and a cut that nobody passes shows nothing. So once a step has gathered enough answers, the
levels are cut at the quantiles of the *reference*, under a new epoch. They are chosen from what came before the
requests that are held to them, and alike for both arms, so the error rates are untouched: only power is won. The canary
has no say: how far its answers lie apart from the reference's is what is to be found out, and must not widen the cuts.
"""

from __future__ import annotations

from collections.abc import Iterable

from ops.judge.levels import Measured, cut_levels, measured
from ops.rollout.decided import Decided
from ops.rollout.observing import Observation
from ops.rollout.record import Rollout
from ops.rollout.sharing import reference_arm
from serving.contract import Arm, BadEvent, CounterSnapshot

_FIRST_FACTOR = 2
"""A step is first calibrated when the reference has answered this many times the history a quantile needs ..."""
_STREAMLESS_FACTOR = 8
"""... and as many streams as a quantile needs, unless there are this many times as many answers and still too few."""
_AGAIN_FACTOR = 4
"""It is calibrated again each time that so many times as many answers are there: a handful of times at most."""


def starting_point(
    rollout: Rollout, step: int, snapshots: Iterable[CounterSnapshot]
) -> tuple[CounterSnapshot, ...] | None:
    """What the reference had shown when the step began, without the counters. None if nothing is compared."""
    arms = _reference(rollout, step)
    if not arms:
        return None
    return tuple(
        CounterSnapshot(
            snapshot.worker,
            snapshot.instance,
            snapshot.at_unix_seconds,
            (),
            tuple(cell for cell in snapshot.measured if cell.tier == rollout.tier and cell.arm in arms),
        )
        for snapshot in snapshots
    )


def calibrated(so_far: Decided, seen: Observation) -> Decided:
    """With levels cut from the step's own answers, whenever there are enough of them."""
    rollout = so_far.running
    if rollout.calibration is None or rollout.served_step is None:
        return so_far
    analysis = rollout.plan.analysis
    grown = _grown(rollout.calibration, seen.snapshots, rollout.tier, _reference(rollout, rollout.served_step))
    if grown is None:
        # A worker was restarted or is missing: the levels stay as they are.
        restarted = {s.worker: s.instance for s in seen.snapshots}
        gone = any(restarted.get(base.worker, base.instance) != base.instance for base in rollout.calibration)
        return so_far.changed(calibration=None) if gone else so_far
    answered, streams = (_count(grown, event) for event in (BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN))
    if not _due(answered, streams, rollout.calibrated_requests, analysis.level_history_min):
        return so_far
    levels = cut_levels(
        grown, rollout.levels, quantiles=analysis.level_quantiles, history_min=analysis.level_history_min
    )
    return so_far.changed(levels=levels, calibrated_requests=answered)


def _count(grown: Measured, event: BadEvent) -> int:
    return sum(sum(counts.get(event, ())) for (_, stratum), counts in grown.items() if not stratum)


def _due(answered: int, streams: int, calibrated: int, history_min: int) -> bool:
    if calibrated:
        return answered >= _AGAIN_FACTOR * calibrated
    enough_streams = streams >= history_min or answered >= _STREAMLESS_FACTOR * history_min
    return answered >= _FIRST_FACTOR * history_min and enough_streams


def _reference(rollout: Rollout, step: int) -> frozenset[Arm]:
    reference = reference_arm(rollout.plan.steps[step], rollout.plan.analysis.load_per_replica_ratio_max)
    return frozenset({reference} if reference else ())


def _grown(
    bases: tuple[CounterSnapshot, ...], snapshots: Iterable[CounterSnapshot], tier: str, arms: frozenset[Arm]
) -> Measured | None:
    """What was measured since ``bases``. None if a worker is not the same."""
    current = {snapshot.worker: snapshot for snapshot in snapshots}
    pairs = [(current.get(base.worker), base) for base in bases]
    if any(now is None or now.instance != base.instance for now, base in pairs):
        return None
    grown = measured([now for now, _ in pairs if now], tier, arms)
    for key, before in measured(bases, tier, arms).items():
        into = grown.setdefault(key, {})
        for event, counts in before.items():
            have = into.get(event, [0] * len(counts))
            into[event] = [a - b for a, b in zip(have, counts, strict=True)]
    return grown
