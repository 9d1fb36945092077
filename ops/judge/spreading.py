"""What a look adds to the evidence of graded events: how the requests of each arm spread over the levels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ops.judge.cells import EVERY, Cell, Recent, Whole, directions, groups, share
from ops.judge.evidence import Boundary, Profile, better_than, steepness, worse_than
from ops.judge.grading import Floats, Graded, level_gains
from ops.judge.model import Sides
from ops.rollout.plan import AnalysisPlan, Role
from serving.contract import GRADED, BadEvent

_LEVELS_GUESS_REQUESTS = 8
"""The reference's rates of passing the cuts before anything is known: a guess that few real requests outweigh."""


def gather_graded(whole: Whole, recent: Recent, cells: Sequence[Cell], plan: AnalysisPlan) -> None:
    """All graded events' cells are one array: a side of an event is so many of its rows."""
    rules = [rule for rule in plan.events if rule.event in GRADED and rule.role is not Role.OFF]
    shown = [(rule, cell) for rule in rules for cell in cells if _shows(rule.event, cell)]
    if not shown:
        return
    seen = _graded([(rule.event, cell) for rule, cell in shown], plan.level_quantiles)
    places: dict[BadEvent, list[int]] = defaultdict(list)
    for i, (rule, _) in enumerate(shown):
        places[rule.event].append(i)
    parts = [
        (rule, side, places[rule.event])
        for rule in rules
        if rule.event in places
        for side in directions(rule.event)
    ]
    rows = np.array([i for _, _, own in parts for i in own])
    repeated = seen if len(rows) == len(shown) else seen.rows(rows)
    counts = [len(own) for _, _, own in parts]
    margins = [worse_than(rule.margin, True, side) for rule, side, _ in parts]
    harms = [better_than(rule.harm, side) for rule, side, _ in parts]
    against = _side_gains(margins, counts, repeated, apart=True)
    in_favour = _side_gains(harms, counts, repeated, apart=False)
    of_rows = np.concatenate([repeated.canary, repeated.total, repeated.total * repeated.share[:, None]], axis=1)
    first = 0
    to_whole, to_recent = _Growing(against, of_rows), _Growing(in_favour, of_rows)
    for rule, side, own in parts:
        at = 0 if side == 1 else 1
        for group, inside in groups(shown[i][1] for i in own).items():
            to_whole.add((rule.event, group, at), whole.get(rule.event, {}).get(group), [first + i for i in inside])
        before = recent.get(rule.event)
        to_recent.add((rule.event, EVERY, at), before, list(range(first, first + len(own))))
        first += len(own)
    for (event, group, at), profile in to_whole.grown().items():
        whole[event] = {**whole.get(event, {}), group: _with_side(whole.get(event, {}).get(group), at, profile)}
    for (event, _, at), profile in to_recent.grown().items():
        recent[event] = _with_side(recent.get(event), at, profile)


def _with_side(sides: Sides | None, at: int, profile: Profile) -> Sides:
    return (profile,) if at == 0 and not sides else (*(sides or ())[:at], profile, *(sides or ())[at + 1 :])


class _Growing:
    """Profiles that grow by the sums of some rows each, all at once."""

    def __init__(self, gained: Floats, of_rows: Floats) -> None:
        self._columns = np.concatenate([gained, of_rows], axis=1)
        self._points = gained.shape[1]
        self._levels = of_rows.shape[1] // 3
        self._before: dict[tuple[BadEvent, str, int], Profile] = {}
        self._rows: list[list[int]] = []

    def add(self, key: tuple[BadEvent, str, int], sides: Sides | None, rows: list[int]) -> None:
        self._before[key] = sides[key[2]] if sides and len(sides) > key[2] else Profile()
        self._rows.append(rows)

    def grown(self) -> dict[tuple[BadEvent, str, int], Profile]:
        members = np.zeros((len(self._rows), len(self._columns)))
        for i, rows in enumerate(self._rows):
            members[i, rows] = 1.0
        sums = members @ self._columns
        blank = (0.0,) * sums.shape[1]
        sums += np.array([(*p.points, *p.canary, *p.total, *p.expected) or blank for p in self._before.values()])
        ends = [self._points + i * self._levels for i in range(4)]
        integers = sums[:, ends[0] : ends[2]].round().astype(int).tolist()
        return {
            key: Profile(
                tuple(row[: ends[0]]), tuple(whole[: self._levels]), tuple(whole[self._levels :]), tuple(row[ends[2] :])
            )
            for key, row, whole in zip(self._before, sums.tolist(), integers, strict=True)
        }


def _side_gains(boundaries: Sequence[Boundary], counts: Sequence[int], seen: Graded, *, apart: bool) -> Floats:
    logs = np.repeat(np.array([boundary.logs for boundary in boundaries]), counts, axis=0)
    return level_gains(logs, seen, apart=apart).reshape(len(logs), -1)


def _shows(event: BadEvent, cell: Cell) -> bool:
    return any(cell.canary.levels.get(event, ())) or any(cell.reference.levels.get(event, ()))


def _graded(shown: Sequence[tuple[BadEvent, Cell]], quantiles: tuple[float, ...]) -> Graded:
    none = (0,) * (len(quantiles) + 1)
    counted = np.array(
        [
            (
                *cell.canary.levels.get(event, none),
                *cell.reference.levels.get(event, none),
                *cell.earlier.levels.get(event, none),
            )
            for event, cell in shown
        ],
        dtype=float,
    )
    canary, reference, earlier = np.split(counted, 3, axis=1)
    return Graded(
        canary,
        canary + reference,
        np.array([share(cell.so_far, event) for event, cell in shown]),
        passing_rates(earlier, quantiles),
        np.array([steepness(cell.levels.get(event, ()), quantiles) for event, cell in shown]),
    )


def passing_rates(earlier: Floats, quantiles: tuple[float, ...]) -> Floats:
    """The reference's rate of passing each cut, strictly falling and within (0, 1): rows x cuts."""
    guess = (1 - np.array(quantiles)) * _LEVELS_GUESS_REQUESTS
    counted = earlier.sum(axis=1, keepdims=True) + _LEVELS_GUESS_REQUESTS
    found: Floats = (earlier[:, ::-1].cumsum(axis=1)[:, -2::-1] + guess) / counted
    return found
