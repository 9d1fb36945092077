"""What a look adds to the evidence of graded events: how the requests of each arm spread over the levels.

All graded events' cells are one array: its places are, side by side of every event, the cells in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ops.judge.cells import EVERY, Recent, Seen, Whole, directions
from ops.judge.evidence import better_than, steepness, worse_than
from ops.judge.grading import Floats, Graded, Logs, level_gains
from ops.judge.growing import grown_by, profile_of, with_side
from ops.rollout.plan import AnalysisPlan, EventPlan, Role
from serving.contract import GRADED, BadEvent

_LEVELS_GUESS_REQUESTS = 8
"""The reference's rates of passing the cuts before anything is known: a guess that few real requests outweigh."""


class _Side(NamedTuple):
    """An event in one direction."""

    rule: EventPlan
    direction: int
    at: int
    """Which of the event's profiles it is."""
    event: int
    """Which of the graded rules."""


def gather_graded(whole: Whole, recent: Recent, seen: Seen, plan: AnalysisPlan) -> None:
    rules = [rule for rule in plan.events if rule.event in GRADED and rule.role is not Role.OFF]
    if not rules or not seen.names:
        return
    counted = _counted(seen, [rule.event for rule in rules], len(plan.level_quantiles) + 1)
    shown = counted[:2].sum(axis=(0, 1)) > 0  # events x cells
    sides = _sides(rules, shown)
    if not sides:
        return
    graded = _graded(seen, sides, counted, plan.level_quantiles)
    margins = tuple((side.rule.margin, side.direction) for side in sides)
    harms = tuple((side.rule.harm, side.direction) for side in sides)
    against, in_favour = level_gains(_boundaries(margins, harms, len(seen.names)), graded)
    of_people = (graded.canary, graded.total, graded.total * graded.share)
    groups, members = _members(seen.groups)
    in_groups = (shown @ members > 0).tolist()  # events x groups
    places = [  # of what grows, with its row of the sums: a group where nothing was shown stays as it was
        (i * len(groups) + j, side, group)
        for i, side in enumerate(sides)
        for j, group in enumerate(groups)
        if in_groups[side.event][j]
    ]
    _grow_whole(whole, places, _sums((against, *of_people), members, len(sides)), counted.shape[1])
    _grow_recent(recent, sides, _sums((in_favour, *of_people), members[:, :1], len(sides)), counted.shape[1])


def _sides(rules: Sequence[EventPlan], shown: NDArray[np.bool_]) -> list[_Side]:
    return [
        _Side(rule, direction, at, i)
        for i, rule in enumerate(rules)
        if shown[i].any()
        for at, direction in enumerate(directions(rule.event))
    ]


@lru_cache(64)
def _members(of_cells: tuple[str, ...]) -> tuple[tuple[str, ...], Floats]:
    """The groups, that of all cells first, and which cells are theirs: cells x groups, 0 or 1."""
    groups = (EVERY, *sorted(set(of_cells)))
    return groups, np.array([[group in (EVERY, own) for group in groups] for own in of_cells], dtype=float)


@lru_cache(64)
def _boundaries(
    margins: tuple[tuple[float, int], ...], harms: tuple[tuple[float, int], ...], cells: int
) -> tuple[Logs, Logs]:
    """Those of the evidence against and for the canary: a figure and its direction for each side."""
    against = np.array([worse_than(margin, True, direction).logs for margin, direction in margins]).T
    in_favour = np.array([better_than(harm, direction).logs for harm, direction in harms]).T
    return Logs(np.repeat(against, cells, axis=1), apart=True), Logs(np.repeat(in_favour, cells, axis=1), apart=False)


def _sums(parts: Sequence[Floats], members: Floats, sides: int) -> Floats:
    """Over the cells of each group: (sides x groups) x columns. ``parts``: columns (on any axes) x places."""
    columns = np.concatenate([part.reshape(-1, sides, len(members)) for part in parts])
    found: Floats = (columns @ members).transpose(1, 2, 0).reshape(-1, len(columns))
    return found


def _grow_whole(whole: Whole, places: Sequence[tuple[int, _Side, str]], sums: Floats, levels: int) -> None:
    known = {side.rule.event: dict(whole.get(side.rule.event, {})) for _, side, _ in places}
    before = [profile_of(known[side.rule.event].get(group), side.at) for _, side, group in places]
    grown = grown_by(before, sums[[row for row, _, _ in places]], levels)
    for (_, side, group), profile in zip(places, grown, strict=True):
        of_event = known[side.rule.event]
        of_event[group] = with_side(of_event.get(group), side.at, profile)
    whole.update(known)


def _grow_recent(recent: Recent, sides: Sequence[_Side], sums: Floats, levels: int) -> None:
    before = [profile_of(recent.get(side.rule.event), side.at) for side in sides]
    for side, profile in zip(sides, grown_by(before, sums, levels), strict=True):
        recent[side.rule.event] = with_side(recent.get(side.rule.event), side.at, profile)


def _counted(seen: Seen, events: Sequence[BadEvent], levels: int) -> Floats:
    """On the canary, the reference, and the reference before this look: 3 x levels x events x cells."""
    none = (0,) * levels
    counts = chain(seen.canary, seen.reference, seen.earlier)
    flat = np.fromiter(chain.from_iterable([one.levels.get(event, none) for one in counts for event in events]), float)
    return flat.reshape(3, len(seen.names), len(events), levels).transpose(0, 3, 2, 1)


def _graded(seen: Seen, sides: Sequence[_Side], counted: Floats, quantiles: tuple[float, ...]) -> Graded:
    canary, reference, earlier = counted.take([side.event for side in sides], axis=2).reshape(3, counted.shape[1], -1)
    steep = {
        event: [steepness(levels.get(event, ()), quantiles) for levels in seen.levels]
        for event in {side.rule.event for side in sides}
    }
    shares = np.concatenate([seen.share(side.rule.event) for side in sides])
    steepnesses = np.array([steep[side.rule.event] for side in sides]).reshape(-1)
    return Graded(canary, canary + reference, shares, passing_rates(earlier, quantiles), steepnesses)


def passing_rates(earlier: Floats, quantiles: tuple[float, ...]) -> Floats:
    """The reference's rate of passing each cut, strictly falling and within (0, 1): cuts x places.

    ``earlier``: levels x places.
    """
    guess = (1 - np.array(quantiles)[:, None]) * _LEVELS_GUESS_REQUESTS
    counted = earlier.sum(axis=0) + _LEVELS_GUESS_REQUESTS
    found: Floats = (earlier[::-1].cumsum(axis=0)[-2::-1] + guess) / counted
    return found
