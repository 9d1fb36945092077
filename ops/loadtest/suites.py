"""From a suite of the spec to phases, rates and users: what is due when, at the scale asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise, takewhile
from math import ceil, pi, sin

from ops.loadtest.arrivals import Process
from ops.loadtest.plan import Phase, Rate
from ops.spec.loadtest import Stage, Suite
from ops.spec.serving import Targets

SWING_POINTS = 24
"""Straight lines that one period of a swing is drawn with: a day's hours."""
CONNECTIONS_MIN = 100
PROMISED_PERCENT = 100
"""Of what the targets promise; beyond it nothing is."""
OPEN_USERS = 60
"""Placeholders among Locust's users where arrivals are open: divisible by most numbers of workers."""


@dataclass(frozen=True)
class Scale:
    """Of a whole suite: its load, and its times."""

    load: float = 1.0
    time: float = 1.0


@dataclass(frozen=True)
class Shape:
    """A suite at a scale. Rates in requests a second, times in seconds."""

    suite: str
    arrivals: str
    stages: tuple[Stage, ...]
    requests_per_second: float
    """100 percent, at this scale."""
    users_concurrent: float
    time: float

    @property
    def closed(self) -> bool:
        return self.arrivals == "users"

    @property
    def process(self) -> Process:
        return Process.CONSTANT if self.arrivals == "constant" else Process.POISSON

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages) * self.time

    @property
    def percent_max(self) -> float:
        return max((value for stage in self.stages for value in (stage.percent, stage.from_percent or 0)), default=0)

    @property
    def users_max(self) -> int:
        """Users of Locust: the closed ones themselves, or the placeholders of open arrivals."""
        return max(1, round(self.users_concurrent * self.percent_max / 100)) if self.closed else OPEN_USERS

    def users(self, elapsed_seconds: float) -> int:
        """Of Locust, at this time."""
        if not self.closed:
            return OPEN_USERS
        left = elapsed_seconds
        for stage in self.stages:
            seconds = stage.seconds * self.time
            if left < seconds:
                return max(1, round(self.users_concurrent * _line(stage, left / seconds) / 100))
            left -= seconds
        return max(1, round(self.users_concurrent * self.stages[-1].percent / 100))

    def phases(self) -> tuple[Phase, ...]:
        return tuple(Phase(stage.name, stage.seconds * self.time, stage.measured) for stage in self.stages)

    def rates(self) -> tuple[Rate, ...]:
        """None for closed users."""
        if self.closed:
            return ()
        return tuple(rate for stage in self.stages for rate in _rates(stage, self.requests_per_second, self.time))

    def connections(self, per_user: float) -> int:
        """As many as the promised users would hold, at this share of the load."""
        return max(CONNECTIONS_MIN, ceil(self.users_concurrent * per_user * self.percent_max / 100))

    def connections_held(self, per_user: float) -> int:
        """Of users who stay connected: as many as the promised ones at this share of the load, and of open arrivals no
        more than the warm-up has requests for. A user connects when he first asks, and a measured request that waits
        for its connection would be the generator's lag."""
        users = int(self.users_concurrent * per_user * min(self.percent_max, PROMISED_PERCENT) / 100)
        return users if self.closed else min(users, self._warming())

    def _warming(self) -> int:
        """Requests that are due before anything is measured."""
        warm = takewhile(lambda stage: not stage.measured, self.stages)
        rates = (rate for stage in warm for rate in _rates(stage, self.requests_per_second, self.time))
        return int(sum(rate.seconds * (rate.start + rate.end) / 2 for rate in rates))


def shape(name: str, suite: Suite, targets: Targets, scale: Scale, arrivals: str | None = None) -> Shape:
    """``arrivals`` instead of the suite's own."""
    return Shape(
        suite=name,
        arrivals=arrivals or suite.arrivals,
        stages=suite.stages,
        requests_per_second=targets.requests_per_second * scale.load,
        users_concurrent=targets.users_concurrent * scale.load,
        time=scale.time,
    )


def unknown_suite(name: str, suites: Iterable[str]) -> str:
    """What is wrong with a name that no suite has, and which may be meant."""
    known = list(suites)
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}? it has" if near else "it has"
    return f"the spec has no suite {name!r}: {hint} {', '.join(known)}"


def traced_rates(at_seconds: Sequence[float], scale: Scale, bin_seconds: float = 1.0) -> tuple[Rate, ...]:
    """The rate over time of a recorded traffic, in steps of ``bin_seconds`` of the recording; times rise from 0."""
    if not at_seconds:
        return ()
    counts = [0] * (int(at_seconds[-1] / bin_seconds) + 1)
    for at in at_seconds:
        counts[int(at / bin_seconds)] += 1
    seconds = bin_seconds * scale.time
    return tuple(Rate(seconds, *(2 * (count / bin_seconds * scale.load,))) for count in counts)


def _line(stage: Stage, part: float) -> float:
    """Percent, at this part of the stage (0 to 1)."""
    start = stage.percent if stage.from_percent is None else stage.from_percent
    return start + (stage.percent - start) * part


def _rates(stage: Stage, full: float, time: float) -> Iterator[Rate]:
    for begin, end in pairwise(sorted(set(_knots(stage)))):
        middle = (begin + end) / 2
        start, stop = (_percent(stage, at) * _burst(stage, middle) * full / 100 for at in (begin, end))
        yield Rate((end - begin) * time, start, stop)


def _knots(stage: Stage) -> Iterable[float]:
    """Where the rate bends or jumps, in seconds of the stage, its ends included."""
    yield from (0.0, stage.seconds)
    if stage.swing is not None:
        step = stage.swing.seconds / SWING_POINTS
        yield from (i * step for i in range(1, ceil(stage.seconds / step)))
    if stage.bursts is not None:
        every = stage.bursts.every_seconds
        for i in range(ceil(stage.seconds / every)):
            yield i * every
            yield min(i * every + stage.bursts.seconds, stage.seconds)


def _percent(stage: Stage, at: float) -> float:
    swing = 0.0 if stage.swing is None else stage.swing.percent / 100 * sin(2 * pi * at / stage.swing.seconds)
    return _line(stage, at / stage.seconds) * (1 + swing)


def _burst(stage: Stage, at: float) -> float:
    bursts = stage.bursts
    return bursts.times if bursts is not None and at % bursts.every_seconds < bursts.seconds else 1.0
