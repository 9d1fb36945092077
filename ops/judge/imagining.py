"""Imagined traffic on an imagined release: requests drawn by the look, each with all that could be measured of it.

An answer takes its time to the first token, and then so many tokens times the time of each: all three are log-normal
within a cell. Both times follow a load that all arms share (an AR(1) process of its logarithm);
``replica_sigma`` adds one to each arm alone, which is what breaks the assumption that arms differ by release only.
``ops.judge.tallying`` counts the requests as a gateway would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from serving.contract import Arm

FAILING_SECONDS = 0.05
"""How long a request takes that fails at once."""


@dataclass(frozen=True)
class CellTraffic:
    """One task class and stratum."""

    name: str
    """``class/stratum``."""
    share: float
    first_token_seconds: float
    """Median, as are the next two."""
    token_seconds: float
    tokens: float
    timeout_seconds: float = 10.0
    """When the gateway gives up."""
    long_prompt: bool = False


@dataclass(frozen=True)
class Traffic:
    requests_per_second: float
    cells: tuple[CellTraffic, ...]
    streamed_share: float = 0.5
    first_token_sigma: float = 0.5
    """Of the logarithm, within a cell, as are the next two: queueing and the prompt make the first token vary, ..."""
    token_sigma: float = 0.2
    """... the batch it shares the time of a token, averaged over the answer, ..."""
    tokens_sigma: float = 0.35
    """... and what was asked the number of tokens."""
    load_sigma: float = 0.3
    """Of the logarithm of the load that all arms share."""
    load_seconds: float = 30.0
    """After this the load has forgotten 63 %."""
    replica_sigma: float = 0.0
    """The same for each arm alone ..."""
    replica_seconds: float = 120.0
    """... and its memory."""
    failed_rate: float = 0.0005
    """On every arm."""
    daily_swing: float = 0.0
    """The rate's amplitude over ``day_seconds``, 0 to 1."""
    day_seconds: float = 86_400.0
    surge: float = 1.0
    """From ``surge_at_seconds`` on everything takes so many times as long, on every arm."""
    surge_at_seconds: float = 0.0
    session_sigma: float = 0.0
    """Of the logarithm of the latency that a session's requests share; 0: requests are independent."""
    session_requests: int = 5
    """Per session, all on one arm, within a look."""


@dataclass(frozen=True)
class Imagined:
    """The release on trial; the stable one is only what the traffic says."""

    slower: float = 1.0
    long_prompts_slower: float = 1.0
    tail_rate: float = 0.0
    """Of its answers that many come ``tail_seconds`` later."""
    tail_seconds: float = 5.0
    longer: float = 1.0
    """Its answers have so many times the tokens, and take so much longer."""
    failed_rate: float = 0.0
    """Beyond what every arm fails."""
    empty_rate: float = 0.0
    dead: bool = False
    """It is assigned requests and never answers."""
    worse_after_seconds: float = 0.0
    """Until then it is as stable is."""
    cold_seconds: float = 0.0
    """How long canary and baseline, started together, are ``cold_slower``."""
    cold_slower: float = 2.0
    cold_alone: bool = False
    """The canary alone is cold."""


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Requests:
    """Of one arm and one look; arrays of equal length."""

    arm: Arm
    cell: NDArray[np.int64]
    at: Floats
    """Seconds since the rollout began."""
    latency: Floats
    """Seconds; infinite if no answer ever comes."""
    first_token: Floats
    token_interval: Floats
    tokens: Floats
    streamed: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    empty: NDArray[np.bool_]


@dataclass
class Source:
    """Draws what arrives between two looks."""

    traffic: Traffic
    release: Imagined
    look_seconds: float
    chance: np.random.Generator
    load: float = 0.0
    noise: dict[Arm, float] = field(default_factory=dict)

    def next(self, shares: Sequence[tuple[Arm, float]], now: float) -> list[Requests]:
        """What arrives from ``now`` (seconds since the start) on the arms of ``shares`` (of all requests)."""
        traffic = self.traffic
        self.load = self._drift(self.load, traffic.load_sigma, traffic.load_seconds)
        swing = 1 + traffic.daily_swing * sin(2 * pi * now / traffic.day_seconds)
        found = []
        for arm, share in shares:
            if traffic.replica_sigma:
                before = self.noise.get(arm, self.chance.normal(0.0, traffic.replica_sigma))
                self.noise[arm] = self._drift(before, traffic.replica_sigma, traffic.replica_seconds)
            mean = traffic.requests_per_second * swing * share * self.look_seconds
            found.append(self._requests(arm, mean, now))
        return found

    def _drift(self, before: float, sigma: float, memory_seconds: float) -> float:
        keep = exp(-self.look_seconds / memory_seconds)
        return keep * before + sqrt(1 - keep**2) * self.chance.normal(0.0, sigma)

    def _requests(self, arm: Arm, mean: float, now: float) -> Requests:
        traffic, chance = self.traffic, self.chance
        cells = traffic.cells
        size, sessions = self._arrivals(mean)
        cell = chance.choice(len(cells), size, p=[part.share for part in cells])
        at = now + chance.uniform(0.0, self.look_seconds, size)
        release = self.release if arm is Arm.CANARY and now >= self.release.worse_after_seconds else Imagined()
        surge = traffic.surge if now >= traffic.surge_at_seconds else 1.0
        slower = np.full(size, exp(self.load + self.noise.get(arm, 0.0)) * surge * release.slower)
        slower *= np.where(np.array([part.long_prompt for part in cells])[cell], release.long_prompts_slower, 1.0)
        cold = arm is Arm.CANARY or (arm is Arm.BASELINE and not self.release.cold_alone)
        if cold and now < self.release.cold_seconds:
            slower *= self.release.cold_slower
        if sessions is not None:
            slower *= np.exp(chance.normal(0.0, traffic.session_sigma, sessions.max(initial=0) + 1))[sessions]
        tokens = np.array([part.tokens for part in cells])[cell] * release.longer
        tokens = np.maximum(np.round(tokens * np.exp(chance.normal(0.0, traffic.tokens_sigma, size))), 2.0)
        first = np.array([part.first_token_seconds for part in cells])[cell] * slower
        first *= np.exp(chance.normal(0.0, traffic.first_token_sigma, size))
        first += np.where(chance.random(size) < release.tail_rate, release.tail_seconds, 0.0)
        interval = np.array([part.token_seconds for part in cells])[cell] * slower
        interval *= np.exp(chance.normal(0.0, traffic.token_sigma, size))
        if release.dead:
            first = np.full(size, np.inf)
        failed = chance.random(size) < traffic.failed_rate + release.failed_rate
        return Requests(
            arm=arm,
            cell=cell,
            at=at,
            latency=np.where(failed, FAILING_SECONDS, first + interval * (tokens - 1)),
            first_token=first,
            token_interval=interval,
            tokens=tokens,
            streamed=chance.random(size) < traffic.streamed_share,
            failed=failed,
            empty=chance.random(size) < release.empty_rate,
        )

    def _arrivals(self, mean: float) -> tuple[int, NDArray[np.int64] | None]:
        """How many requests come, and the session of each."""
        if not self.traffic.session_sigma:
            return int(self.chance.poisson(mean)), None
        each = self.traffic.session_requests
        count = int(self.chance.poisson(mean / each))
        return count * each, np.repeat(np.arange(count), each)
