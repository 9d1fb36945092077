"""What was counted in one place: of one cell on one arm, or of many together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from operator import add, sub

import msgspec

from serving.contract import BadEvent


class Counts(msgspec.Struct, frozen=True, gc=False):
    """For people and records; the judge reckons with ``ops.judge.tables``. A Struct, since a frozen dataclass takes ten
    times as long to make; it can be in no cycle, so the garbage collector need not know it."""

    assigned: int = 0
    finished: int = 0
    streamed: int = 0
    bad: Mapping[BadEvent, int] = {}
    levels: Mapping[BadEvent, tuple[int, ...]] = {}
    """Of graded events: requests on each level, the lowest first."""

    def plus(self, other: Counts, sign: int = 1) -> Counts:
        return Counts(
            self.assigned + sign * other.assigned,
            self.finished + sign * other.finished,
            self.streamed + sign * other.streamed,
            _bad_sum(self.bad, other.bad, sign) if other.bad else self.bad,
            _levels_sum(self.levels, other.levels, sign) if other.levels else self.levels,
        )

    @property
    def went_backwards(self) -> bool:
        on_levels = chain.from_iterable(self.levels.values())
        return min(self.assigned, self.finished, self.streamed, *self.bad.values(), *on_levels) < 0


_OPERATIONS = {1: add, -1: sub}


def _bad_sum(one: Mapping[BadEvent, int], other: Mapping[BadEvent, int], sign: int) -> dict[BadEvent, int]:
    if sign < 0 and one == other:  # most cells' between two looks
        return {}
    return {
        event: count for event in sorted({*one, *other}) if (count := one.get(event, 0) + sign * other.get(event, 0))
    }


def _levels_sum(
    one: Mapping[BadEvent, tuple[int, ...]], other: Mapping[BadEvent, tuple[int, ...]], sign: int
) -> dict[BadEvent, tuple[int, ...]]:
    apply = _OPERATIONS[sign]
    if one.keys() == other.keys():  # the usual case by far
        return {event: tuple(map(apply, counts, other[event])) for event, counts in one.items()}
    nothing = {event: (0,) * len(counts) for event, counts in (*one.items(), *other.items())}
    return {
        event: tuple(map(apply, one.get(event, none), other.get(event, none)))
        for event, none in sorted(nothing.items())
    }
