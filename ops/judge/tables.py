"""Counts as one array: a row is a cell on an arm, a column is a thing that is counted.

The judge looks often and at dozens of cells, so it reads the counters into such a table once and reckons with whole
columns; ``Counts`` are for people, records and tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter, methodcaller
from typing import Protocol

import numpy as np

from ops.judge.counts import Counts
from ops.judge.grading import Floats
from serving.contract import GRADED, OF_STREAMS, Arm, BadEvent

ASSIGNED, FINISHED, STREAMED = 0, 1, 2
SIZES = 3
EVENTS = tuple(sorted(BadEvent))
COLUMN = {event: SIZES + i for i, event in enumerate(EVENTS)}
"""Of a yes/no event's count."""
GRADES = tuple(sorted(GRADED))
GRADE = {event: i for i, event in enumerate(GRADES)}
"""Of a graded event: which of the blocks of levels that follow is its own."""
FIRST_LEVEL = SIZES + len(EVENTS)

Key = tuple[str, Arm]
"""A cell ``class/stratum`` and an arm."""


class Counted(Protocol):
    """``Counts``, or a gateway worker's ``CounterCell``."""

    @property
    def assigned(self) -> int: ...
    @property
    def finished(self) -> int: ...
    @property
    def streamed(self) -> int: ...
    @property
    def bad(self) -> Mapping[BadEvent, int]: ...
    @property
    def levels(self) -> Mapping[BadEvent, tuple[int, ...]]: ...


@dataclass(frozen=True, eq=False)
class Table(Mapping[Key, Counts]):
    """Read as a mapping it gives ``Counts``, in which what never happened is absent."""

    keys_of_rows: tuple[Key, ...]
    """Each once."""
    rows: Floats
    """Keys x (sizes, yes/no events, levels of each graded event); whole numbers."""

    def __getitem__(self, key: Key) -> Counts:
        try:
            return counts_of(self.rows[self.keys_of_rows.index(key)])
        except ValueError as e:
            raise KeyError(key) from e

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys_of_rows)

    def __len__(self) -> int:
        return len(self.keys_of_rows)


def opportunity(event: BadEvent) -> int:
    """The column of the requests that could show the event."""
    return STREAMED if event in OF_STREAMS else ASSIGNED


def columns(levels: int) -> int:
    """How many, with so many levels of each graded event; 0 where there are none."""
    return FIRST_LEVEL + len(GRADES) * levels


def on_levels(rows: Floats) -> Floats:
    """A view: rows x graded events x levels."""
    return rows[:, FIRST_LEVEL:].reshape(len(rows), len(GRADES), (rows.shape[1] - FIRST_LEVEL) // len(GRADES))


def tabled(keys: Sequence[Key], counted: Sequence[Counted]) -> Table:
    """A key that comes twice is summed."""
    rows = rows_of(counted)
    if len(set(keys)) < len(keys):
        once = tuple(dict.fromkeys(keys))
        summed = np.zeros((len(once), rows.shape[1]))
        np.add.at(summed, [once.index(key) for key in keys], rows)
        return Table(once, summed)
    return Table(tuple(keys), rows)


def table_of(cells: Mapping[Key, Counts]) -> Table:
    return cells if isinstance(cells, Table) else tabled(tuple(cells), tuple(cells.values()))


_SIZES = attrgetter("assigned", "finished", "streamed")
_BAD, _LEVELS = attrgetter("bad"), attrgetter("levels")
_VALUES = methodcaller("values")


def rows_of(counted: Sequence[Counted]) -> Floats:
    """As ``Table.rows``; as many levels as the event with most of them has."""
    if not counted:
        return np.zeros((0, FIRST_LEVEL))
    known = list(map(_LEVELS, counted))
    flat = list(chain.from_iterable(map(_VALUES, known)))
    widths = set(map(len, flat))
    width = max(widths, default=0)
    rows = np.zeros((len(counted), columns(width)))
    sizes = chain.from_iterable(map(_SIZES, counted))
    rows[:, :SIZES] = np.fromiter(sizes, float, len(counted) * SIZES).reshape(-1, SIZES)
    for i, bad in enumerate(map(_BAD, counted)):
        for event, count in bad.items():
            rows[i, COLUMN[event]] = count
    levels, events = on_levels(rows), list(known[0])
    if len(widths) == 1 and list(chain.from_iterable(known)) == events * len(known):  # the usual case by far
        found = np.fromiter(chain.from_iterable(flat), float, len(flat) * width).reshape(len(known), -1, width)
        levels[:, [GRADE[event] for event in events]] = found
    else:
        for of_row, of_one in zip(levels, known, strict=True):
            for event, numbers in of_one.items():
                of_row[GRADE[event], : len(numbers)] = numbers
    return rows


def counts_of(row: Floats) -> Counts:
    """A row's; what never happened is absent."""
    numbers = list(map(int, row.tolist()))
    levels = (len(numbers) - FIRST_LEVEL) // len(GRADES)
    of_events = {
        event: tuple(numbers[FIRST_LEVEL + i * levels : FIRST_LEVEL + (i + 1) * levels])
        for i, event in enumerate(GRADES)
    }
    return Counts(
        numbers[ASSIGNED],
        numbers[FINISHED],
        numbers[STREAMED],
        {event: count for event, count in zip(EVENTS, numbers[SIZES:FIRST_LEVEL], strict=True) if count},
        {event: found for event, found in of_events.items() if any(found)},
    )


def added(one: Table, other: Table, sign: int = 1) -> Table:
    """Row by row; a key that one of them lacks counts nothing there."""
    if one.keys_of_rows != other.keys_of_rows:
        keys = tuple(dict.fromkeys((*one.keys_of_rows, *other.keys_of_rows)))
        one, other = (Table(keys, _aligned(table, keys)) for table in (one, other))
    width = max(one.rows.shape[1], other.rows.shape[1])
    return Table(one.keys_of_rows, widened(one.rows, width) + sign * widened(other.rows, width))


def _aligned(table: Table, keys: Sequence[Key]) -> Floats:
    at = {key: i for i, key in enumerate(table.keys_of_rows)}
    return padded(table.rows)[[at.get(key, -1) for key in keys]]


def padded(rows: Floats) -> Floats:
    """With one more row, the last, in which nothing is counted."""
    found = np.zeros((len(rows) + 1, rows.shape[1]))
    found[:-1] = rows
    return found


def widened(rows: Floats, width: int) -> Floats:
    """With so many columns: where no graded event has levels yet, they are put in. Raises ValueError where there are
    levels, and another number of them."""
    if rows.shape[1] == width:
        return rows
    if rows.shape[1] != FIRST_LEVEL:
        raise ValueError("graded events are cut into another number of levels than before")
    found = np.zeros((len(rows), width))
    found[:, :FIRST_LEVEL] = rows
    return found
