"""What a worker counts: plain integers on the hot path, rendered only when somebody asks.

Every key is bounded by the configuration: tiers, arms, the epochs kept, classes and strata, tasks and statuses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

from serving.contract import (
    FINE_BOUNDS,
    Arm,
    BadEvent,
    CounterCell,
    CounterSnapshot,
    Levels,
    MeasuredCell,
    ServingConfig,
)
from serving.gateway.objectives import ObjectiveCounts
from serving.gateway.routing import UNJUDGED_EPOCH

CellKey = tuple[str, Arm, int, str, str]
"""Tier, arm, epoch, task class, stratum."""


class Histogram:
    """Counts per bucket, not cumulative; the last one is for what lies above every bound. Bounds are inclusive."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


Measured = dict[BadEvent, Histogram]
"""What one key's answers showed of each graded event."""


def measured(bounds: Mapping[BadEvent, Sequence[float]]) -> Measured:
    return {event: Histogram(found) for event, found in bounds.items()}


class Cell:
    """Counts of one key, its levels, and where what it measures goes."""

    __slots__ = ("_coarse", "_cuts", "_fine", "assigned", "bad", "finished", "levels", "streamed")

    def __init__(self, cuts: Levels, fine: Measured, coarse: Measured) -> None:
        self._cuts = cuts
        self._fine = fine
        self._coarse = coarse
        self.assigned = 0
        self.finished = 0
        self.streamed = 0
        self.bad: dict[BadEvent, int] = {}
        self.levels: dict[BadEvent, list[int]] = {event: [0] * (len(found) + 1) for event, found in cuts.items()}

    def last_cut(self, event: BadEvent) -> float | None:
        """Above it lies the last level. None: the event has no levels here."""
        return self._cuts[event][-1] if event in self._cuts else None

    def count_level(self, event: BadEvent, value: float) -> None:
        """Nothing where the event has no levels. A value at a cut lies below it."""
        if event in self._cuts:
            self.levels[event][bisect_left(self._cuts[event], value)] += 1

    def count_last_level(self, event: BadEvent) -> None:
        if event in self._cuts:
            self.levels[event][-1] += 1

    def observe(self, event: BadEvent, value: float) -> None:
        """An answer that came whole showed this."""
        self._fine[event].observe(value)
        self._coarse[event].observe(value)


class Counters:
    """Everything that one worker counts."""

    def __init__(self, config: ServingConfig) -> None:
        self._epochs_kept_max = config.limits.epochs_kept_max
        self._bounds: dict[BadEvent, Sequence[float]] = {
            BadEvent.SLOW: config.latency_bounds_seconds,
            BadEvent.SLOW_FIRST_TOKEN: config.first_token_bounds_seconds,
            BadEvent.SLOW_TOKENS: config.token_interval_bounds_seconds,
            BadEvent.OUTPUT_LENGTH: output_token_bounds(config),
        }
        self.cells: dict[CellKey, Cell] = {}
        self.fine: dict[tuple[str, Arm, str, str], Measured] = {}
        """By tier, arm, task class, stratum."""
        self.coarse: dict[tuple[str, Arm, str], Measured] = {}
        """By tier, arm, task class."""
        self.responses: Counter[tuple[str, str, int]] = Counter()
        """By task, tier, status."""
        self.refused: Counter[str] = Counter()
        self.tokens: Counter[tuple[str, str, str]] = Counter()
        """By task, tier, direction."""
        self.synthetic: Counter[tuple[str, int]] = Counter()
        self.objectives = {
            (tier, task_class): ObjectiveCounts() for tier in config.tiers for task_class in config.classes
        }
        """By tier and task class; all of them from the start."""

    def cell(self, key: CellKey, cuts: Levels) -> Cell:
        """The key's cell. ``cuts`` are those of the epoch's table, so one key never comes with others."""
        cell = self.cells.get(key)
        if cell is None:
            tier, arm, _, task_class, stratum = key
            fine = self.fine.setdefault((tier, arm, task_class, stratum), measured(FINE_BOUNDS))
            coarse = self.coarse.setdefault((tier, arm, task_class), measured(self._bounds))
            cell = self.cells[key] = Cell(cuts, fine, coarse)
            self._drop_old_epochs(tier)
        return cell

    def _drop_old_epochs(self, tier: str) -> None:
        epochs = sorted({key[2] for key in self.cells if key[0] == tier and key[2] != UNJUDGED_EPOCH})
        for epoch in epochs[: -self._epochs_kept_max]:
            for key in [key for key in self.cells if key[0] == tier and key[2] == epoch]:
                del self.cells[key]

    def snapshot(self, worker: str, instance: str, at_unix_seconds: float) -> CounterSnapshot:
        return CounterSnapshot(
            worker,
            instance,
            at_unix_seconds,
            tuple(
                CounterCell(
                    *key, cell.assigned, cell.finished, cell.streamed, dict(cell.bad),
                    {event: tuple(counts) for event, counts in cell.levels.items()},
                )
                for key, cell in self.cells.items()
            ),
            tuple(
                MeasuredCell(*key, {event: tuple(one.counts) for event, one in found.items() if any(one.counts)})
                for key, found in self.fine.items()
            ),
        )


def output_token_bounds(config: ServingConfig) -> tuple[float, ...]:
    """Powers of two up to the longest answer that a task gives, and each task's cap: answers pile up there."""
    caps = {task.output_tokens_max for task in config.tasks}
    powers = {2**i for i in range(max(caps, default=1).bit_length())}
    return tuple(float(bound) for bound in sorted(caps | powers))
