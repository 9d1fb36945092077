"""From the raw counters of the gateway workers to what happened since the last look, or why that cannot be told.

A look is blind when a worker is missing, its samples are old or of the future, or it was restarted since. A blind look
costs data or time, never correctness: its increments are not used, and the next clear look covers the gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import add, sub

import msgspec

from serving.contract import Arm, BadEvent, CounterCell, CounterSnapshot


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Made by the hundred at each look, which is why it is a Struct: a frozen dataclass takes ten times as long. It can
    be in no cycle, so the garbage collector need not know it."""

    assigned: int = 0
    finished: int = 0
    streamed: int = 0
    bad: Mapping[BadEvent, int] = {}
    levels: Mapping[BadEvent, tuple[int, ...]] = {}
    """Of graded events: requests on each level, the lowest first."""

    def plus(self, other: Counts, sign: int = 1) -> Counts:
        return Counts(
            self.assigned + sign * other.assigned,
            self.finished + sign * other.finished,
            self.streamed + sign * other.streamed,
            _bad_sum(self.bad, other.bad, sign) if other.bad else self.bad,
            _levels_sum(self.levels, other.levels, sign) if other.levels else self.levels,
        )

    @property
    def went_backwards(self) -> bool:
        on_levels = chain.from_iterable(self.levels.values())
        return min(self.assigned, self.finished, self.streamed, *self.bad.values(), *on_levels) < 0


_OPERATIONS = {1: add, -1: sub}


def _bad_sum(one: Mapping[BadEvent, int], other: Mapping[BadEvent, int], sign: int) -> dict[BadEvent, int]:
    if sign < 0 and one == other:  # most cells' between two looks
        return {}
    return {
        event: count for event in sorted({*one, *other}) if (count := one.get(event, 0) + sign * other.get(event, 0))
    }


def _levels_sum(
    one: Mapping[BadEvent, tuple[int, ...]], other: Mapping[BadEvent, tuple[int, ...]], sign: int
) -> dict[BadEvent, tuple[int, ...]]:
    apply = _OPERATIONS[sign]
    if one.keys() == other.keys():  # the usual case by far
        return {event: tuple(map(apply, counts, other[event])) for event, counts in one.items()}
    nothing = {event: (0,) * len(counts) for event, counts in (*one.items(), *other.items())}
    return {
        event: tuple(map(apply, one.get(event, none), other.get(event, none)))
        for event, none in sorted(nothing.items())
    }


def summed(many: Sequence[Counts]) -> Counts:
    """All of them together."""
    bad: dict[BadEvent, int] = {}
    assigned = finished = streamed = 0
    for counts in many:
        assigned += counts.assigned
        finished += counts.finished
        streamed += counts.streamed
        for event, count in counts.bad.items():
            bad[event] = bad.get(event, 0) + count
    all_levels = [counts.levels for counts in many]
    levels = {
        event: tuple(map(sum, zip(*[of[event] for of in all_levels if event in of], strict=True)))
        for event in dict.fromkeys(chain.from_iterable(all_levels))
    }
    return Counts(assigned, finished, streamed, bad, levels)


Cells = dict[tuple[str, Arm], Counts]
"""Counts by cell ``class/stratum`` and arm."""


@dataclass(frozen=True)
class Difference:
    increments: Cells
    """Empty when blind."""
    bases: dict[str, CounterSnapshot]
    """What the next look is to be held against, by worker."""
    blind: tuple[str, ...]
    """Why the look was blind, in words; empty when it was not."""


def counts_by_cell(cells: Iterable[CounterCell], tier: str, epoch: int) -> Cells:
    found: Cells = {}
    for cell in cells:
        if cell.tier == tier and cell.epoch == epoch:
            key = (f"{cell.task_class}/{cell.stratum}", cell.arm)
            # A snapshot is never changed, so its own mappings will do.
            counts = Counts(cell.assigned, cell.finished, cell.streamed, cell.bad, cell.levels)
            found[key] = found[key].plus(counts) if key in found else counts
    return found


def difference(
    bases: Mapping[str, CounterSnapshot],
    snapshots: Iterable[CounterSnapshot],
    *,
    workers: Iterable[str],
    tier: str,
    epoch: int,
    now: float,
    age_seconds_max: float,
    faults: Mapping[str, str] | None = None,
) -> Difference:
    """What happened in ``epoch`` since ``bases``, summed over the workers.

    ``workers`` are those that must be seen. A worker that has no base starts from nothing, which is right at the
    start of an epoch: its counts of that epoch are all new. ``faults`` says why a worker's counters are lacking or old.
    """
    why = {worker: f": {fault}" for worker, fault in (faults or {}).items()}
    seen = {snapshot.worker: snapshot for snapshot in snapshots}
    blind: list[str] = []
    clear: dict[str, CounterSnapshot] = {}
    rebased: dict[str, CounterSnapshot] = {}
    total: Cells = {}
    for worker in sorted(workers):
        snapshot = seen.get(worker)
        if snapshot is None:
            blind.append(f"{worker} gave no counters{why.get(worker, '')}")
            continue
        if (age := now - snapshot.at_unix_seconds) > age_seconds_max:
            blind.append(f"the counters of {worker} are {age:.0f} s old{why.get(worker, '')}")
            continue
        if -age > age_seconds_max:
            # As fresh as they seem they may be old: nothing says which clock is wrong.
            blind.append(f"the counters of {worker} are {-age:.0f} s in the future: a clock is wrong")
            continue
        base = bases.get(worker)
        if base is not None and snapshot.at_unix_seconds < base.at_unix_seconds <= now + age_seconds_max:
            # As a base they would let what lies between be counted twice. (A base from further ahead: our own clock was
            # put back, and the counts alone must tell.)
            blind.append(f"the counters of {worker} are older than those that were read before")
            continue
        if base is not None and base.instance != snapshot.instance:
            blind.append(f"{worker} was restarted: what it counted since the last look is lost")
            # Its counts began again at zero, so all that it has counted since is new.
            rebased[worker] = CounterSnapshot(worker, snapshot.instance, snapshot.at_unix_seconds, (), ())
            continue
        grown = _grown(snapshot, base, tier, epoch)
        if any(counts.went_backwards for counts in grown.values()):
            blind.append(f"the counters of {worker} went backwards")
            rebased[worker] = snapshot
            continue
        clear[worker] = snapshot
        for key, counts in grown.items():
            total[key] = total[key].plus(counts) if key in total else counts
    if blind:
        # The clear workers keep their old bases: the next clear look reads the gap for all of them alike.
        return Difference({}, {**bases, **rebased}, tuple(blind))
    return Difference(total, {**bases, **clear}, ())


def _grown(snapshot: CounterSnapshot, base: CounterSnapshot | None, tier: str, epoch: int) -> Cells:
    current = counts_by_cell(snapshot.cells, tier, epoch)
    before = counts_by_cell(base.cells, tier, epoch) if base else {}
    nothing = Counts()
    keys = current.keys() | before.keys()
    return {key: current.get(key, nothing).plus(before.get(key, nothing), -1) for key in keys}
