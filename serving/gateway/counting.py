"""What a worker counts: plain integers on the hot path, rendered only when somebody asks.

Every key is bounded by the configuration: tiers, arms, the epochs kept, classes and strata, tasks and statuses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from serving.contract import (
    FINE_BOUNDS_SECONDS,
    Arm,
    BadEvent,
    CounterCell,
    CounterSnapshot,
    LatencyCell,
    ServingConfig,
)
from serving.gateway.routing import FALLBACK_EPOCH

CellKey = tuple[str, Arm, int, str, str]
"""Tier, arm, epoch, task class, stratum."""


class Histogram:
    """Counts per bucket, not cumulative; the last one is for what lies above every bound. Bounds are inclusive."""

    __slots__ = ("bounds", "counts", "total_seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_seconds = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total_seconds += seconds


class Timings:
    """The two histograms of one key."""

    __slots__ = ("first_token", "latency")

    def __init__(self, latency_bounds: Sequence[float], first_token_bounds: Sequence[float]) -> None:
        self.latency = Histogram(latency_bounds)
        self.first_token = Histogram(first_token_bounds)

    def observe(self, latency_seconds: float, first_token_seconds: float | None) -> None:
        self.latency.observe(latency_seconds)
        if first_token_seconds is not None:
            self.first_token.observe(first_token_seconds)


class Cell:
    """Counts of one key, and where its times go."""

    __slots__ = ("_coarse", "_fine", "assigned", "bad", "finished", "streamed")

    def __init__(self, fine: Timings, coarse: Timings) -> None:
        self._fine = fine
        self._coarse = coarse
        self.assigned = 0
        self.finished = 0
        self.streamed = 0
        self.bad: dict[BadEvent, int] = {}

    def observe(self, latency_seconds: float, first_token_seconds: float | None) -> None:
        """A request was answered in full."""
        self._fine.observe(latency_seconds, first_token_seconds)
        self._coarse.observe(latency_seconds, first_token_seconds)


class Counters:
    """Everything that one worker counts."""

    def __init__(self, config: ServingConfig) -> None:
        self._epochs_kept_max = config.limits.epochs_kept_max
        self._bounds = config.latency_bounds_seconds, config.first_token_bounds_seconds
        self.cells: dict[CellKey, Cell] = {}
        self.fine: dict[tuple[str, Arm, str, str], Timings] = {}
        """By tier, arm, task class, stratum."""
        self.coarse: dict[tuple[str, Arm, str], Timings] = {}
        """By tier, arm, task class."""
        self.responses: Counter[tuple[str, str, int]] = Counter()
        """By task, tier, status."""
        self.refused: Counter[str] = Counter()
        self.tokens: Counter[tuple[str, str, str]] = Counter()
        """By task, tier, direction."""
        self.synthetic: Counter[tuple[str, int]] = Counter()

    def cell(self, key: CellKey) -> Cell:
        cell = self.cells.get(key)
        if cell is None:
            tier, arm, _, task_class, stratum = key
            fine = self.fine.setdefault(
                (tier, arm, task_class, stratum), Timings(FINE_BOUNDS_SECONDS, FINE_BOUNDS_SECONDS)
            )
            coarse = self.coarse.setdefault((tier, arm, task_class), Timings(*self._bounds))
            cell = self.cells[key] = Cell(fine, coarse)
            self._drop_old_epochs(tier)
        return cell

    def _drop_old_epochs(self, tier: str) -> None:
        epochs = sorted({key[2] for key in self.cells if key[0] == tier and key[2] != FALLBACK_EPOCH})
        for epoch in epochs[: -self._epochs_kept_max]:
            for key in [key for key in self.cells if key[0] == tier and key[2] == epoch]:
                del self.cells[key]

    def snapshot(self, worker: str, instance: str, at_unix_seconds: float) -> CounterSnapshot:
        return CounterSnapshot(
            worker,
            instance,
            at_unix_seconds,
            tuple(
                CounterCell(*key, cell.assigned, cell.finished, cell.streamed, dict(cell.bad))
                for key, cell in self.cells.items()
            ),
            tuple(
                LatencyCell(*key, tuple(timings.latency.counts), tuple(timings.first_token.counts))
                for key, timings in self.fine.items()
            ),
        )
