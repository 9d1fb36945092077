"""From the raw counters of the gateway workers to what happened since the last look, or why that cannot be told.

A look is blind when a worker is missing, its samples are old or of the future, or it was restarted since. A blind look
costs data or time, never correctness: its increments are not used, and the next clear look covers the gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ops.judge.counts import Counts
from ops.judge.tables import Key, Table, added, tabled
from serving.contract import CounterCell, CounterSnapshot

__all__ = ["Cells", "Counts", "Difference", "counts_by_cell", "difference"]

Cells = dict[Key, Counts]
"""Counts by cell ``class/stratum`` and arm."""


class _Read(NamedTuple):
    """A snapshot as a table."""

    snapshot: CounterSnapshot
    tier: str
    epoch: int
    table: Table


class Bases(dict[str, CounterSnapshot]):
    """What the next look is to be held against, by worker; with what was already reckoned of it."""

    def __init__(self, bases: Mapping[str, CounterSnapshot], tables: Mapping[str, _Read]) -> None:
        super().__init__(bases)
        self.tables = tables


@dataclass(frozen=True)
class Difference:
    increments: Mapping[Key, Counts]
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


def _read(snapshot: CounterSnapshot, tier: str, epoch: int) -> _Read:
    own = [cell for cell in snapshot.cells if cell.epoch == epoch and cell.tier == tier]
    table = tabled([(f"{cell.task_class}/{cell.stratum}", cell.arm) for cell in own], own)
    return _Read(snapshot, tier, epoch, table)


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
    total: Table | None = None
    known = bases.tables if isinstance(bases, Bases) else {}
    tables: dict[str, _Read] = {}
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
        read = tables[worker] = _read(snapshot, tier, epoch)
        grown = read.table
        if base is not None:
            before = known.get(worker)
            if before is None or before.snapshot is not base or (before.tier, before.epoch) != (tier, epoch):
                before = _read(base, tier, epoch)  # the base is of a record that was read, or the epoch is another
            grown = added(grown, before.table, -1)
        if (grown.rows < 0).any():
            blind.append(f"the counters of {worker} went backwards")
            rebased[worker] = snapshot
            continue
        clear[worker] = snapshot
        total = grown if total is None else added(total, grown)
    if blind:
        # The clear workers keep their old bases: the next clear look reads the gap for all of them alike.
        return Difference({}, {**bases, **rebased}, tuple(blind))
    return Difference({} if total is None else total, Bases({**bases, **clear}, tables), ())
