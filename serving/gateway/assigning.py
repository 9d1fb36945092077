"""Who serves a request: an arm by weight or by session, then an endpoint of that arm. Chance is an argument."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Protocol, TypeVar

from serving.contract import WEIGHT_TOTAL


class Loaded(Protocol):
    """An endpoint as the choice sees it."""

    in_flight: int
    down_until: float


E = TypeVar("E", bound=Loaded)
T = TypeVar("T")


def point_of_session(salt: str, session: bytes) -> float:
    """A session's place in [0, WEIGHT_TOTAL): the same for the same salt, spread evenly over sessions."""
    digest = blake2b(session, digest_size=8, key=blake2b(salt.encode(), digest_size=32).digest()).digest()
    return int.from_bytes(digest, "big") / 2**64 * WEIGHT_TOTAL


def choose_arm(choices: Sequence[tuple[int, T]], point: float) -> T:
    """The first choice whose upper bound lies above ``point``. Bounds rise, and the last is WEIGHT_TOTAL."""
    for bound, choice in choices:
        if point < bound:
            return choice
    return choices[-1][1]


def choose_endpoint(endpoints: Sequence[E], tried: Collection[E], now: float, chance: float) -> E | None:
    """The least loaded endpoint that is up and was not tried; failing that any, the untried and the up first.

    ``chance`` in [0, 1) breaks ties: otherwise an idle service would send everything to its first replica.
    Returns None only if there is no endpoint at all.
    """
    count = len(endpoints)
    if count <= 1:
        return endpoints[0] if count else None
    start = int(chance * count)
    best: E | None = None
    best_rank = (True, True, 0)
    for i in range(start, start + count):
        endpoint = endpoints[i % count]
        rank = (endpoint in tried, endpoint.down_until > now, endpoint.in_flight)
        if best is None or rank < best_rank:
            best, best_rank = endpoint, rank
    return best
