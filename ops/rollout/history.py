"""From the looks of past rollouts to arms of one release beside each other: what margins are calibrated from. Pure.

Three kinds of pair are used where the load per replica was alike: a baseline beside stable; a canary beside whom it was
compared with, if it was of the same digest (whatever became of it); and the same of a release that was promoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from ops.judge.counting import Cells, Counts, counts_by_cell
from ops.judge.evidence import steepness
from ops.judge.noise import Block, Graded, Noise, Series, block, estimate
from ops.rollout.plan import RolloutPlan
from ops.rollout.record import Rollout
from ops.rollout.recorded import Told
from ops.rollout.states import State
from serving.contract import GRADED, Arm, BadEvent


@dataclass(frozen=True)
class _Pair:
    canary: Arm
    """The arm in the canary's place."""
    reference: Arm
    same: bool
    replicas: tuple[int, int]


def is_of_use(rollout: Rollout) -> bool:
    """Whether any two arms of it may have run a release that is known to be alike, or good."""
    stepped = any(step.baseline for step in rollout.plan.steps)
    return rollout.baseline_release is not None and (
        stepped or rollout.state is State.PROMOTED or _same_release(rollout)
    )


def series_of(rollout: Rollout, told: Sequence[Told], block_seconds: float) -> tuple[Series, ...]:
    """``told`` at looks about ``block_seconds`` apart, in order; those at which something was unseen are left out."""
    clear = [one for one in told if not one.unreachable and not one.elsewhere and one.snapshots]
    found: list[Series] = []
    for _, of_step in groupby(clear, key=lambda one: one.situation.step):
        looks = list(of_step)
        for pair in _pairs(rollout, looks[0]):
            found.extend(_series(rollout, looks, pair, block_seconds))
    return tuple(found)


def noises(series: Iterable[Series]) -> dict[BadEvent, Noise | None]:
    """By graded event; None where nothing was seen."""
    by_event: dict[BadEvent, list[Series]] = {event: [] for event in sorted(GRADED)}
    for one in series:
        by_event[one.event].append(one)
    return {event: estimate(of_event) for event, of_event in by_event.items()}


def _same_release(rollout: Rollout) -> bool:
    return rollout.baseline_release is not None and rollout.baseline_release.digest == rollout.release.digest


def _pairs(rollout: Rollout, told: Told) -> Iterator[_Pair]:
    now, plan = told.situation, rollout.plan
    same = _same_release(rollout)
    if now.reference is not None and (same or rollout.state is State.PROMOTED):
        yield _Pair(Arm.CANARY, now.reference, same, (now.canary_replicas, now.reference_replicas))
    if now.reference is Arm.BASELINE:
        yield _Pair(Arm.BASELINE, Arm.STABLE, True, (now.reference_replicas, plan.stable_replicas))


def _series(rollout: Rollout, looks: Sequence[Told], pair: _Pair, block_seconds: float) -> Iterator[Series]:
    blocks: dict[BadEvent, list[Block]] = {event: [] for event in sorted(GRADED)}
    for before, after in pairwise(looks):
        grown = _grown(before, after)
        if grown is None or not _loads_alike(grown, pair, rollout.plan):
            continue
        for event, into in blocks.items():
            found = block((before.at + after.at) / 2, _graded(grown, event, pair, after, rollout.plan))
            if found is not None:
                into.append(found)
    moods = sum(1 / max(count, 1) for count in pair.replicas)
    for event, of_event in blocks.items():
        if of_event:
            yield Series(rollout.id, event, tuple(of_event), block_seconds, moods, pair.same)


def _grown(before: Told, after: Told) -> Cells | None:
    """What all workers counted in between, in the later look's epoch; None if one was restarted or is missing."""
    bases = {one.worker: one for one in before.snapshots}
    epoch = after.situation.epoch
    total: Cells = {}
    if {one.worker for one in after.snapshots} != bases.keys():
        return None
    for snapshot in after.snapshots:
        base = bases[snapshot.worker]
        if base.instance != snapshot.instance:
            return None
        then = counts_by_cell(base.cells, after.tier, epoch)
        for key, counts in counts_by_cell(snapshot.cells, after.tier, epoch).items():
            grown = counts.plus(then[key], -1) if key in then else counts
            total[key] = total[key].plus(grown) if key in total else grown
    return None if any(counts.went_backwards for counts in total.values()) else total


def _loads_alike(grown: Cells, pair: _Pair, plan: RolloutPlan) -> bool:
    loads = [
        sum(counts.assigned for (_, of), counts in grown.items() if of is arm) / max(count, 1)
        for arm, count in zip((pair.canary, pair.reference), pair.replicas, strict=True)
    ]
    return min(loads) > 0 and max(loads) / min(loads) <= plan.analysis.load_per_replica_ratio_max


def _graded(grown: Cells, event: BadEvent, pair: _Pair, told: Told, plan: RolloutPlan) -> Iterator[Graded]:
    quantiles = plan.analysis.level_quantiles
    for cell in sorted({name for name, _ in grown}):
        on = [_levels(grown, cell, arm, event) for arm in (pair.canary, pair.reference)]
        if any(on[0]) and any(on[1]):
            cuts = told.situation.levels_of(cell).get(event, ())
            yield Graded(on[0], on[1], steepness(cuts, quantiles) if cuts else 1.0)


def _levels(grown: Mapping[tuple[str, Arm], Counts], cell: str, arm: Arm, event: BadEvent) -> tuple[int, ...]:
    return grown.get((cell, arm), Counts()).levels.get(event, ())
