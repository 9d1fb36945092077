"""When requests are due: an open loop, whose users do not wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random


def poisson(rate_per_second: float, seconds: float, chance: Random) -> Iterator[float]:
    """Intended times in seconds from the start: independent users, ``rate_per_second`` on average."""
    at = chance.expovariate(rate_per_second)
    while at < seconds:
        yield at
        at += chance.expovariate(rate_per_second)
