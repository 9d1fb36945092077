"""What one imagined gateway worker would tell of the imagined requests: counters that only grow, until it restarts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ops.judge.counting import Cells, Counts, Difference, difference
from serving.contract import Arm, CounterCell, CounterSnapshot

_WORKER = "imagined"


@dataclass
class Teller:
    tier: str
    restarts: Sequence[float]
    """Seconds since the rollout began, rising: what was counted before is lost, as in a process that died."""
    _counted: dict[tuple[str, Arm, int], Counts] = field(default_factory=dict)
    _lives: int = 0

    def told(self, bases: Mapping[str, CounterSnapshot], increments: Cells, epoch: int, now: float) -> Difference:
        """The difference that the judge reads at ``now`` after ``increments`` more happened."""
        snapshot = self.snapshot(increments, epoch, now)
        return difference(
            bases, (snapshot,), workers=(_WORKER,), tier=self.tier, epoch=epoch, now=now, age_seconds_max=1.0
        )

    def snapshot(self, increments: Cells, epoch: int, now: float) -> CounterSnapshot:
        if self._lives < len(self.restarts) and now >= self.restarts[self._lives]:
            self._lives += 1
            self._counted.clear()  # what happened since the last look died with it
        else:
            for (cell, arm), counts in increments.items():
                key = (cell, arm, epoch)
                self._counted[key] = self._counted[key].plus(counts) if key in self._counted else counts
        cells = tuple(self._cell(key, counts) for key, counts in self._counted.items())
        return CounterSnapshot(_WORKER, str(self._lives), now, cells, ())

    def _cell(self, key: tuple[str, Arm, int], counts: Counts) -> CounterCell:
        cell, arm, epoch = key
        task_class, _, stratum = cell.partition("/")
        return CounterCell(
            tier=self.tier,
            arm=arm,
            epoch=epoch,
            task_class=task_class,
            stratum=stratum,
            assigned=counts.assigned,
            finished=counts.finished,
            streamed=counts.streamed,
            bad=dict(counts.bad),
            levels=dict(counts.levels),
        )
