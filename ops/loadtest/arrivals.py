"""When requests are due: an open loop, whose users do not wait for each other.

A rate over time is a list of straight segments. Arrivals are drawn by the inverse of its integral, so that any shape is
exact: no thinning, no steps of a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from random import Random


class Process(StrEnum):
    CONSTANT = "constant"
    """Evenly spaced."""
    POISSON = "poisson"
    """Independent users."""


@dataclass(frozen=True)
class Segment:
    """A rate that goes in a straight line from ``start`` to ``end`` requests a second."""

    seconds: float
    start: float
    end: float

    @property
    def requests(self) -> float:
        return self.seconds * (self.start + self.end) / 2

    def until(self, seconds: float) -> float:
        """Requests due in so many of its seconds."""
        return seconds * (self.start + (self.end - self.start) * seconds / self.seconds / 2)

    def at(self, requests: float) -> float:
        """Seconds into the segment at which so many requests (of ``self.requests``) were due."""
        if not self.start and not self.end:
            return self.seconds
        slope = (self.end - self.start) / self.seconds
        # 2 n / (r + sqrt(r^2 + 2 s n)): the root of r t + s t^2 / 2 = n that is stable for a slope near 0.
        return 2 * requests / (self.start + sqrt(max(0.0, self.start**2 + 2 * slope * requests)))


def poisson(rate_per_second: float, seconds: float, chance: Random) -> Iterator[float]:
    """Intended times in seconds from the start: independent users, ``rate_per_second`` on average."""
    return arrivals([Segment(seconds, rate_per_second, rate_per_second)], Process.POISSON, chance)


def arrivals(
    shape: Sequence[Segment], process: Process, chance: Random, share: float = 1.0, since_seconds: float = 0.0
) -> Iterator[float]:
    """Intended times in seconds from the start, rising, those after ``since_seconds``. ``share`` is this generator's
    part of the whole rate, above 0. Where it changes, arrivals are drawn anew from then on: that is exact for either
    process."""
    # The first of evenly spaced ones falls anywhere within its gap, so that several generators do not march in step.
    due = (_gap(process, chance) if process is Process.POISSON else chance.random()) / share
    due += _requests_until(shape, since_seconds)
    begun, before = 0.0, 0.0
    for segment in shape:
        while due - before < segment.requests:
            yield begun + segment.at(due - before)
            due += _gap(process, chance) / share
        begun, before = begun + segment.seconds, before + segment.requests


def _requests_until(shape: Sequence[Segment], seconds: float) -> float:
    total = 0.0
    for segment in shape:
        if seconds <= 0:
            break
        total += segment.until(min(seconds, segment.seconds))
        seconds -= segment.seconds
    return total


def _gap(process: Process, chance: Random) -> float:
    """To the next request, in requests at the rate of that moment."""
    return chance.expovariate(1.0) if process is Process.POISSON else 1.0
