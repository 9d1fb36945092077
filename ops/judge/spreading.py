"""What a look adds to the evidence of graded events: how the requests of each arm spread over the levels.

All graded events' cells are one array: its places are, side by side of every event, the cells in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ops.judge.cells import EVERY, Recent, Seen, Whole, directions
from ops.judge.evidence import Boundary, better_than, steepness, worse_than
from ops.judge.grading import Floats, Graded, Logs, level_gains
from ops.judge.growing import grown_by, profile_of, with_side
from ops.rollout.plan import AnalysisPlan, EventPlan, Role
from serving.contract import GRADED, BadEvent

_LEVELS_GUESS_REQUESTS = 8
"""The reference's rates of passing the cuts before anything is known: a guess that few real requests outweigh."""


@dataclass(frozen=True)
class _Side:
    rule: EventPlan
    direction: int
    at: int
    """Which of the event's profiles it is."""
    event: int
    """The rule's place."""


def gather_graded(whole: Whole, recent: Recent, seen: Seen, plan: AnalysisPlan) -> None:
    rules = [rule for rule in plan.events if rule.event in GRADED and rule.role is not Role.OFF]
    if not rules or not seen.names:
        return
    counted = _counted(seen, [rule.event for rule in rules], len(plan.level_quantiles) + 1)
    shown = (counted[:2] > 0).any(axis=(0, 1))  # events x cells
    sides = [
        _Side(rule, direction, at, i)
        for i, (rule, any_cell) in enumerate(zip(rules, shown.any(axis=1).tolist(), strict=True))
        if any_cell
        for at, direction in enumerate(directions(rule.event))
    ]
    if not sides:
        return
    graded = _graded(seen, sides, counted, plan.level_quantiles)
    against = _logs([worse_than(side.rule.margin, True, side.direction) for side in sides], len(seen.names), apart=True)
    in_favour = _logs([better_than(side.rule.harm, side.direction) for side in sides], len(seen.names), apart=False)
    gained = level_gains([against, in_favour], graded)
    of_people = (graded.canary, graded.total, graded.total * graded.share)
    groups = [EVERY, *sorted(set(seen.groups))]
    members = np.array([[group in (EVERY, own) for group in groups] for own in seen.groups], dtype=float)
    in_groups = (shown @ members > 0).tolist()  # events x groups

    grown = [
        (side, group, row)
        for row, (side, group) in enumerate((side, group) for side in sides for group in groups)
        if in_groups[side.event][row % len(groups)]
    ]
    before = [profile_of(whole.get(side.rule.event, {}).get(group), side.at) for side, group, _ in grown]
    sums = _sums((gained[0], *of_people), members, len(sides))
    profiles = grown_by(before, sums[[row for _, _, row in grown]], len(plan.level_quantiles) + 1)
    for (side, group, _), profile in zip(grown, profiles, strict=True):
        of_event = whole.get(side.rule.event, {})
        whole[side.rule.event] = {**of_event, group: with_side(of_event.get(group), side.at, profile)}
    before = [profile_of(recent.get(side.rule.event), side.at) for side in sides]
    sums = _sums((gained[1], *of_people), members[:, :1], len(sides))
    for side, profile in zip(sides, grown_by(before, sums, len(plan.level_quantiles) + 1), strict=True):
        recent[side.rule.event] = with_side(recent.get(side.rule.event), side.at, profile)


def _sums(parts: Sequence[Floats], members: Floats, sides: int) -> Floats:
    """Over the cells of each group: (sides x groups) x columns. ``parts``: columns (more than one axis) x places."""
    cells = len(members)
    columns = np.concatenate([part.reshape(-1, sides, cells) for part in parts])
    found: Floats = (columns @ members).transpose(1, 2, 0).reshape(-1, len(columns))
    return found


def _logs(boundaries: Sequence[Boundary], cells: int, *, apart: bool) -> Logs:
    return Logs(np.repeat(np.array([boundary.logs for boundary in boundaries]).T, cells, axis=1), apart)


def _counted(seen: Seen, events: Sequence[BadEvent], levels: int) -> Floats:
    """On the canary, the reference, and the reference before this look: 3 x levels x events x cells."""
    none = (0,) * levels
    counts = chain(seen.canary, seen.reference, seen.earlier)
    flat = np.fromiter(
        chain.from_iterable([one.levels.get(event, none) for one in counts for event in events]), float
    )
    return flat.reshape(3, len(seen.names), len(events), levels).transpose(0, 3, 2, 1)


def _graded(seen: Seen, sides: Sequence[_Side], counted: Floats, quantiles: tuple[float, ...]) -> Graded:
    events = [side.event for side in sides]
    canary, reference, earlier = counted.take(events, axis=2).reshape(3, len(quantiles) + 1, -1)
    steep = [steepness(levels.get(side.rule.event, ()), quantiles) for side in sides for levels in seen.levels]
    return Graded(
        canary,
        canary + reference,
        np.concatenate([seen.share(side.rule.event) for side in sides]),
        passing_rates(earlier, quantiles),
        np.array(steep),
    )


def passing_rates(earlier: Floats, quantiles: tuple[float, ...]) -> Floats:
    """The reference's rate of passing each cut, strictly falling and within (0, 1): cuts x places.

    ``earlier``: levels x places.
    """
    guess = (1 - np.array(quantiles)[:, None]) * _LEVELS_GUESS_REQUESTS
    counted = earlier.sum(axis=0) + _LEVELS_GUESS_REQUESTS
    found: Floats = (earlier[::-1].cumsum(axis=0)[-2::-1] + guess) / counted
    return found
