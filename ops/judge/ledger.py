"""Evidence that grows from look to look, of many events and groups of cells, as one array; and its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ops.judge.evidence import Profile
from ops.judge.grading import Floats
from serving.contract import BadEvent

Sides = tuple[Profile, ...]
"""One profile; or two, "higher" and "lower", of an event that counts in both directions."""
EVERY = ""
"""The group of all cells."""
Side = tuple[BadEvent, int]
"""An event, and which of its profiles."""


@dataclass(frozen=True, eq=False)
class Ledger:
    """Of yes/no events, or of graded ones: all its profiles have as many points and levels."""

    sides: tuple[Side, ...]
    groups: tuple[str, ...]
    """That of all cells, the empty name, first."""
    sums: Floats
    """Sides x groups x columns: a profile's points; then per level what fell on the canary, in total and as expected.
    A profile of which nothing was seen is all zeros."""
    levels: int
    """1 of yes/no events."""

    @property
    def points(self) -> Floats:
        return self.sums[:, :, : -3 * self.levels]

    @property
    def of_people(self) -> Floats:
        """Sides x groups x (canary, total, expected) x levels."""
        return self.sums[:, :, -3 * self.levels :].reshape(*self.sums.shape[:2], 3, self.levels)

    def laid_out(self, sides: tuple[Side, ...], groups: tuple[str, ...]) -> Ledger:
        """With these in this order; what it did not have is blank."""
        if (self.sides, self.groups) == (sides, groups):
            return self
        sums = np.zeros((len(sides), len(groups), self.sums.shape[2]))
        for i, side in enumerate(sides):
            for j, group in enumerate(groups):
                if side in self.sides and group in self.groups:
                    sums[i, j] = self.sums[self.sides.index(side), self.groups.index(group)]
        return Ledger(sides, groups, sums, self.levels)

    def plus(self, added: Floats) -> Ledger:
        return Ledger(self.sides, self.groups, self.sums + added, self.levels)

    def records(self) -> dict[BadEvent, dict[str, Sides]]:
        """Of which anything was seen."""
        found: dict[BadEvent, dict[str, Sides]] = {}
        points, of_people = self.points.tolist(), self.of_people
        numbers = of_people[:, :, :2].round().astype(int).tolist()
        expected = of_people[:, :, 2].tolist()
        for i, (event, _) in enumerate(self.sides):
            for j, group in enumerate(self.groups):
                canary, total = map(tuple, numbers[i][j])
                if any(total):
                    profile = Profile(tuple(points[i][j]), canary, total, tuple(expected[i][j]))
                    of_event = found.setdefault(event, {})
                    of_event[group] = (*of_event.get(group, ()), profile)
        return found


def blank(sides: tuple[Side, ...], alternatives: int, levels: int, groups: tuple[str, ...] = (EVERY,)) -> Ledger:
    return Ledger(sides, groups, np.zeros((len(sides), len(groups), alternatives + 3 * levels)), levels)


def with_records(ledger: Ledger, records: Mapping[BadEvent, Mapping[str, Sides]]) -> Ledger:
    """A blank ledger filled with what was recorded of its events."""
    own = {side[0] for side in ledger.sides}
    groups = grouped(group for event, of_event in records.items() if event in own for group in of_event)
    filled = ledger.laid_out(ledger.sides, groups)
    for i, (event, at) in enumerate(filled.sides):
        for j, group in enumerate(groups):
            sides = records.get(event, {}).get(group, ())
            if len(sides) > at and sides[at].points:
                one = sides[at]
                filled.sums[i, j] = (*one.points, *one.canary, *one.total, *one.expected)
    return filled


def grouped(names: Iterable[str]) -> tuple[str, ...]:
    """The groups in their order: that of all cells first."""
    return (EVERY, *sorted({*names} - {EVERY}))


def sums_of(columns: Floats, members: Floats) -> Floats:
    """Over the cells of each group: sides x groups x columns. ``columns``: columns x places, of each side all cells;
    ``members``: cells x groups, 0 or 1."""
    cells, groups = members.shape
    found: Floats = (columns.reshape(-1, cells) @ members).reshape(len(columns), -1, groups).transpose(1, 2, 0)
    return found
