"""Where "slow" begins, taken anew at each step from the arms that are compared.

Stable's history is a poor guide where stable carries another load per replica than the compared arms: its p75 may lie
where they never come, and a threshold that nobody crosses shows nothing. So once a step has gathered enough requests,
the threshold is set to the quantile of canary and reference *together*, under a new epoch. It is chosen from what came
before the requests that are held to it, and alike for both arms, so the error rates are untouched: only power is won.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ops.judge.thresholds import quantile
from ops.rollout.decided import Decided
from ops.rollout.observing import Observation
from ops.rollout.record import Rollout
from ops.rollout.sharing import reference_arm
from serving.contract import Arm, CounterSnapshot, LatencyCell, Threshold

_FIRST_FACTOR = 4
"""A step is first calibrated when the compared arms have answered this many times the history a quantile needs ..."""
_STREAMLESS_FACTOR = 16
"""... and as many streams as a quantile needs, unless there are this many times as many answers and still too few."""
_AGAIN_FACTOR = 4
"""It is calibrated again each time that so many times as many answers are there: a handful of times at most."""

CellKey = tuple[str, str]
"""Task class, stratum; the stratum is empty for the whole class."""


def starting_point(
    rollout: Rollout, step: int, snapshots: Iterable[CounterSnapshot]
) -> tuple[CounterSnapshot, ...] | None:
    """What the compared arms had answered when the step began: the latencies alone. None if nothing is compared."""
    arms = _compared(rollout, step)
    if not arms:
        return None
    return tuple(
        CounterSnapshot(
            snapshot.worker,
            snapshot.instance,
            snapshot.at_unix_seconds,
            (),
            tuple(cell for cell in snapshot.latencies if cell.tier == rollout.tier and cell.arm in arms),
        )
        for snapshot in snapshots
    )


def calibrated(so_far: Decided, seen: Observation) -> Decided:
    """With thresholds from the step's own requests, whenever there are enough of them."""
    rollout = so_far.running
    if rollout.calibration is None or rollout.served_step is None:
        return so_far
    analysis = rollout.plan.analysis
    grown = _grown(rollout.calibration, seen.snapshots, rollout.tier, _compared(rollout, rollout.served_step))
    if grown is None:
        # A worker was restarted or is missing: the thresholds stay as they are.
        restarted = {s.worker: s.instance for s in seen.snapshots}
        gone = any(restarted.get(base.worker, base.instance) != base.instance for base in rollout.calibration)
        return so_far.changed(calibration=None) if gone else so_far
    by_class = [counts for (_, stratum), counts in grown.items() if not stratum]
    answered, streams = sum(sum(c.latency) for c in by_class), sum(sum(c.first_token) for c in by_class)
    if not _due(answered, streams, rollout.calibrated_requests, analysis.slow_history_requests_min):
        return so_far
    thresholds = {
        task_class: {
            stratum: _threshold(
                (grown.get((task_class, stratum)), grown.get((task_class, ""))),
                before,
                analysis.slow_quantile,
                analysis.slow_history_requests_min,
            )
            for stratum, before in strata.items()
        }
        for task_class, strata in rollout.thresholds.items()
    }
    return so_far.changed(thresholds=thresholds, calibrated_requests=answered)


def _due(answered: int, streams: int, calibrated: int, history_min: int) -> bool:
    if calibrated:
        return answered >= _AGAIN_FACTOR * calibrated
    enough_streams = streams >= history_min or answered >= _STREAMLESS_FACTOR * history_min
    return answered >= _FIRST_FACTOR * history_min and enough_streams


def _compared(rollout: Rollout, step: int) -> frozenset[Arm]:
    reference = reference_arm(rollout.plan.steps[step], rollout.plan.analysis.load_per_replica_ratio_max)
    return frozenset({Arm.CANARY, reference} if reference else ())


@dataclass
class _Counts:
    """Per bound of ``FINE_BOUNDS_SECONDS``."""

    latency: list[int] = field(default_factory=list)
    first_token: list[int] = field(default_factory=list)

    def add(self, cell: LatencyCell, sign: int) -> None:
        for total, counts in ((self.latency, cell.latency_counts), (self.first_token, cell.first_token_counts)):
            if not total:
                total.extend([0] * len(counts))
            for i, count in enumerate(counts):
                total[i] += sign * count


def _grown(
    bases: Iterable[CounterSnapshot], snapshots: Iterable[CounterSnapshot], tier: str, arms: frozenset[Arm]
) -> dict[CellKey, _Counts] | None:
    """Answered since ``bases``, by class and stratum and by class alone. None if a worker is not the same."""
    current = {snapshot.worker: snapshot for snapshot in snapshots}
    grown: dict[CellKey, _Counts] = {}
    for base in bases:
        now = current.get(base.worker)
        if now is None or now.instance != base.instance:
            return None
        for sign, cells in ((1, now.latencies), (-1, base.latencies)):
            for cell in cells:
                if cell.tier == tier and cell.arm in arms:
                    for key in ((cell.task_class, cell.stratum), (cell.task_class, "")):
                        grown.setdefault(key, _Counts()).add(cell, sign)
    return grown


def _threshold(
    candidates: Iterable[_Counts | None], before: Threshold, fraction: float, requests_min: int
) -> Threshold:
    """The narrowest group with enough history decides; without any, what held before."""
    groups = [group for group in candidates if group]
    latency = next((q for g in groups if (q := _quantile(g.latency, fraction, requests_min))), None)
    first_token = next((q for g in groups if (q := _quantile(g.first_token, fraction, requests_min))), None)
    return Threshold(latency or before.latency_seconds, first_token or before.first_token_seconds)


def _quantile(counts: list[int], fraction: float, requests_min: int) -> float | None:
    return quantile(counts, fraction) if sum(counts) >= requests_min else None

