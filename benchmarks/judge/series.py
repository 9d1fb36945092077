"""What a peer sees of a rollout: samples of answered requests by arm, as a metrics store would hold them.

The schedule of weights is fixed beforehand and followed to its end: a peer stops reading where it decides, so one
drawing serves every setting of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ops.judge.imagining import CellTraffic, Imagined, Requests, Source, Traffic
from ops.judge.simulating import Outage
from ops.judge.tallying import Tally
from serving.contract import Arm, BadEvent

_DRAW_SECONDS = 5.0
"""How finely the load moves, as for our judge's looks."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """A time during which the weights stay as they are."""

    seconds: float
    canary: float
    """The canary's share of all requests."""
    reference: Arm
    reference_share: float


@dataclass(frozen=True)
class Samples:
    """Of one arm, in the order in which the answers ended."""

    at: Floats
    """Seconds since the rollout began at which the answer, or its time-out, was there."""
    latency: Floats
    failed: NDArray[np.bool_]
    """5xx or timed out. An empty answer is status 200."""

    def between(self, start: float, end: float) -> Samples:
        first, last = np.searchsorted(self.at, (start, end))
        return Samples(self.at[first:last], self.latency[first:last], self.failed[first:last])


@dataclass(frozen=True)
class Recorded:
    canary: Samples
    reference: Samples
    arrivals: Floats
    """When the canary's requests arrived, rising."""
    bad: Floats
    """When those arrived that were slower than the p98 of their cell, without an answer or with an empty one."""
    stages: tuple[Stage, ...]
    outage: Outage | None
    latency_missing: bool

    def hidden(self, now: float) -> bool:
        """Whether the metrics store does not answer."""
        return self.outage is not None and self.outage.start <= now < self.outage.end


def record(
    stages: Sequence[Stage],
    traffic: Traffic,
    release: Imagined,
    chance: np.random.Generator,
    outage: Outage | None = None,
    latency_missing: bool = False,
) -> Recorded:
    source = Source(traffic, release, _DRAW_SECONDS, chance)
    slowest = Tally(traffic, (0.5, 0.98)).levels
    cuts = np.array([slowest[task][stratum][BadEvent.SLOW][-1] for task, stratum in map(_parts, traffic.cells)])
    timeouts = np.array([cell.timeout_seconds for cell in traffic.cells])
    canary: list[Requests] = []
    reference: list[Requests] = []
    now = 0.0
    for stage in stages:
        for _ in range(round(stage.seconds / _DRAW_SECONDS)):
            found = source.next([(Arm.CANARY, stage.canary), (stage.reference, stage.reference_share)], now)
            canary.append(found[0])
            reference.append(found[1])
            now += _DRAW_SECONDS
    at = np.concatenate([part.at for part in canary])
    bad = np.concatenate(
        [
            (part.latency > cuts[part.cell]) | part.failed | part.empty | (part.latency >= timeouts[part.cell])
            for part in canary
        ]
    )
    return Recorded(
        _samples(canary, timeouts),
        _samples(reference, timeouts),
        np.sort(at),
        np.sort(at[bad]),
        tuple(stages),
        outage,
        latency_missing,
    )


def _parts(cell: CellTraffic) -> tuple[str, str]:
    task, _, stratum = cell.name.partition("/")
    return task, stratum


def _samples(parts: Sequence[Requests], timeouts: Floats) -> Samples:
    latency = np.concatenate([part.latency for part in parts])
    limit = timeouts[np.concatenate([part.cell for part in parts])]
    failed = np.concatenate([part.failed for part in parts]) | (latency >= limit)
    latency = np.minimum(latency, limit)
    at = np.concatenate([part.at for part in parts]) + latency
    order = np.argsort(at)
    return Samples(at[order], latency[order], failed[order])


def percentile(samples: Samples, fraction: float) -> float:
    """NaN of nothing, as Prometheus answers."""
    return float(np.quantile(samples.latency, fraction)) if len(samples.latency) else float("nan")


def failed_share(samples: Samples) -> float:
    return float(samples.failed.mean()) if len(samples.failed) else float("nan")
