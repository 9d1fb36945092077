"""Imagined traffic on an imagined release, counted as a gateway would count it: requests drawn one by one.

Latency is log-normal within a cell and follows a load that all arms share (an AR(1) process of its logarithm);
``replica_sigma`` adds one to each arm alone, which is what breaks the assumption that arms differ by release only.
Bad events are counted when they become certain, so a slow request counts one threshold after it arrived.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, sqrt
from random import Random
from statistics import NormalDist

from ops.judge.counting import Cells, Counts
from serving.contract import Arm, BadEvent

FAILING_SECONDS = 0.05
"""How long a request takes that fails at once."""
FIRST_TOKEN_PART = 0.2
"""Of the whole answer's time, until the first token comes."""


@dataclass(frozen=True)
class CellTraffic:
    """One task class and stratum."""

    name: str
    """``class/stratum``."""
    share: float
    median_seconds: float
    timeout_seconds: float = 10.0
    """When the gateway gives up."""


@dataclass(frozen=True)
class Traffic:
    requests_per_second: float
    cells: tuple[CellTraffic, ...]
    streamed_share: float = 0.5
    latency_sigma: float = 0.5
    """Of the logarithm, within a cell."""
    load_sigma: float = 0.3
    """Of the logarithm of the load that all arms share."""
    replica_sigma: float = 0.0
    """The same for each arm alone."""
    memory_seconds: float = 30.0
    """After this, load and replica noise have forgotten 63 %."""
    failed_rate: float = 0.0005
    """On every arm."""


@dataclass(frozen=True)
class Imagined:
    """The release on trial; the stable one is only what the traffic says."""

    slower: float = 1.0
    failed_rate: float = 0.0
    """Beyond what every arm fails."""
    empty_rate: float = 0.0
    dead: bool = False
    """It is assigned requests and never answers."""
    cold_seconds: float = 0.0
    """How long canary and baseline, started together, are ``cold_slower``."""
    cold_slower: float = 2.0


ASSIGNED, FINISHED, STREAMED = "assigned", "finished", "streamed"
_Tally = Counter[tuple[str, Arm, str]]
"""By cell, arm, and what was counted: one of the three above, or a bad event."""


@dataclass
class Source:
    """Draws what happens between two looks."""

    traffic: Traffic
    release: Imagined
    look_seconds: float
    slow_quantile: float
    chance: Random
    number: int = 0
    load: float = 0.0
    noise: dict[Arm, float] = field(default_factory=dict)
    coming: dict[int, _Tally] = field(default_factory=lambda: defaultdict(Counter))
    """What becomes certain at this and at later looks, by their number."""
    thresholds: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        cells = self.traffic.cells
        self.thresholds = {cell.name: threshold_seconds(self.traffic, cell, self.slow_quantile) for cell in cells}

    def forget(self) -> None:
        """A new epoch: what is still to happen to earlier requests is counted under the old one."""
        self.coming.clear()

    def next(self, shares: Sequence[tuple[Arm, float]], seconds_since_start: float) -> Cells:
        """What became certain since the last look on the arms of ``shares`` (of all requests)."""
        self._drift([arm for arm, _ in shares])
        weights = [cell.share for cell in self.traffic.cells]
        for arm, share in shares:
            rate = self.traffic.requests_per_second * share
            at = self.chance.expovariate(rate)
            while at < self.look_seconds:
                cell = self.chance.choices(self.traffic.cells, weights)[0]
                self._request(arm, cell, at, seconds_since_start)
                at += self.chance.expovariate(rate)
        self.number += 1
        return _cells(self.coming.pop(self.number - 1, Counter()))

    def _drift(self, arms: Sequence[Arm]) -> None:
        keep = exp(-self.look_seconds / self.traffic.memory_seconds)
        fresh = sqrt(1 - keep**2)
        self.load = keep * self.load + fresh * self.chance.gauss(0.0, self.traffic.load_sigma)
        for arm in arms if self.traffic.replica_sigma else ():
            before = self.noise.get(arm, self.chance.gauss(0.0, self.traffic.replica_sigma))
            self.noise[arm] = keep * before + fresh * self.chance.gauss(0.0, self.traffic.replica_sigma)

    def _request(self, arm: Arm, cell: CellTraffic, at: float, since_start: float) -> None:
        traffic, release, chance = self.traffic, self.release, self.chance
        on_trial = arm is Arm.CANARY
        streamed = chance.random() < traffic.streamed_share
        self._count(at, cell, arm, ASSIGNED, *([STREAMED] if streamed else []))
        threshold = self.thresholds[cell.name]
        if release.dead and on_trial:
            self._count(at + threshold, cell, arm, BadEvent.SLOW)
            self._count(at + cell.timeout_seconds, cell, arm, FINISHED, BadEvent.FAILED)
            return
        if chance.random() < traffic.failed_rate + (release.failed_rate if on_trial else 0.0):
            self._count(at + FAILING_SECONDS, cell, arm, FINISHED, BadEvent.FAILED)
            return
        cold = since_start < release.cold_seconds and arm is not Arm.STABLE
        slower = (release.slower if on_trial else 1.0) * (release.cold_slower if cold else 1.0)
        drift = cell.median_seconds * exp(self.load + self.noise.get(arm, 0.0)) * slower
        latency = drift * exp(chance.gauss(0.0, traffic.latency_sigma))
        empty = on_trial and chance.random() < release.empty_rate
        self._count(at + latency, cell, arm, FINISHED, *([BadEvent.EMPTY] if empty else []))
        if latency > threshold:
            self._count(at + threshold, cell, arm, BadEvent.SLOW)
        if streamed:
            first = FIRST_TOKEN_PART * drift * exp(chance.gauss(0.0, traffic.latency_sigma))
            if first > FIRST_TOKEN_PART * threshold:
                self._count(at + FIRST_TOKEN_PART * threshold, cell, arm, BadEvent.SLOW_FIRST_TOKEN)

    def _count(self, at: float, cell: CellTraffic, arm: Arm, *what: str) -> None:
        tally = self.coming[self.number + int(at // self.look_seconds)]
        for item in what:
            tally[cell.name, arm, item] += 1


def threshold_seconds(traffic: Traffic, cell: CellTraffic, quantile: float) -> float:
    """The quantile of stable's latency over a long time."""
    spread = sqrt(traffic.latency_sigma**2 + traffic.load_sigma**2)
    return cell.median_seconds * exp(NormalDist().inv_cdf(quantile) * spread)


def _cells(tally: _Tally) -> Cells:
    found: Cells = {}
    for cell, arm in {key[:2] for key in tally}:
        bad = {event: count for event in BadEvent if (count := tally[cell, arm, event])}
        assigned, finished, streamed = (tally[cell, arm, what] for what in (ASSIGNED, FINISHED, STREAMED))
        found[cell, arm] = Counts(assigned, finished, streamed, bad)
    return found
