"""What of a plan the judge needs at each look, laid out once: which events, in which order, and their boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ops.judge.evidence import better_than, worse_than
from ops.judge.grading import Floats
from ops.judge.ledger import Ledger, Side, blank
from ops.judge.tables import COLUMN, EVENTS, GRADE, opportunity
from ops.rollout.plan import EventPlan, Role
from serving.contract import GRADED, BadEvent

Ints = NDArray[np.int64]
TWO_SIDED = frozenset({BadEvent.OUTPUT_LENGTH})
"""Events that count in both directions: answers that grew shorter are as telling as answers that grew longer."""


@dataclass(frozen=True, eq=False)
class Kind:
    """The graded events, or the yes/no events. Of each event one side, or one for each direction."""

    sides: tuple[Side, ...]
    column: Ints
    """By side: of a yes/no event its count's, of a graded one which of the blocks of levels."""
    could: Ints
    """By side: the column of the requests that could show it."""
    against: Floats
    """(1 + alternatives) x sides: the boundary's logarithm and the alternatives'."""
    in_favour: Floats
    spans: tuple[tuple[BadEvent, int, int], ...]
    """By event: its first side and the one after its last."""

    def blank(self, of: Floats, levels: int) -> Ledger:
        """``of``: the boundary and alternatives it is for. As many shapes as levels, each with all alternatives."""
        return blank(self.sides, max(len(of) - 1, 0) * levels, levels)


@dataclass(frozen=True, eq=False)
class Budget:
    """Of the events that have one."""

    column: Ints
    could: Ints
    """The column of the requests that could show the event."""
    rate: Floats
    margin: Floats


@dataclass(frozen=True, eq=False)
class Rules:
    events: tuple[EventPlan, ...]
    """All that are not off, in the plan's order."""
    graded: Kind
    yes_no: Kind
    budgeted: tuple[EventPlan, ...]
    budgeted_at: Ints
    """Which of all events they are."""
    budget: Budget
    tolerated: tuple[EventPlan, ...]


@lru_cache(64)
def rules_of(plan: tuple[EventPlan, ...]) -> Rules:
    events = tuple(rule for rule in plan if rule.role is not Role.OFF)
    budgeted = tuple(rule for rule in events if rule.budget_rate is not None)
    return Rules(
        events,
        _kind([rule for rule in events if rule.event in GRADED]),
        _kind([rule for rule in events if rule.event not in GRADED]),
        budgeted,
        np.array([EVENTS.index(rule.event) for rule in budgeted], dtype=int),
        Budget(
            np.array([COLUMN[rule.event] for rule in budgeted], dtype=int),
            np.array([opportunity(rule.event) for rule in budgeted], dtype=int),
            np.array([rule.budget_rate for rule in budgeted], dtype=float),
            np.array([rule.margin for rule in budgeted], dtype=float),
        ),
        tuple(rule for rule in events if rule.tolerated_rate is not None),
    )


def directions(event: BadEvent) -> tuple[int, ...]:
    return (1, -1) if event in TWO_SIDED else (1,)


def _kind(rules: list[EventPlan]) -> Kind:
    sides = [(rule, at, direction) for rule in rules for at, direction in enumerate(directions(rule.event))]
    of_column = GRADE if rules and rules[0].event in GRADED else COLUMN
    against = [worse_than(rule.margin, rule.event in GRADED, direction).logs for rule, _, direction in sides]
    in_favour = [better_than(rule.harm, direction).logs for rule, _, direction in sides]
    return Kind(
        tuple((rule.event, at) for rule, at, _ in sides),
        np.array([of_column[rule.event] for rule, _, _ in sides], dtype=int),
        np.array([opportunity(rule.event) for rule, _, _ in sides], dtype=int),
        np.array(against).T,
        np.array(in_favour).T,
        tuple(
            (rule.event, i, i + len(directions(rule.event))) for i, (rule, at, _) in enumerate(sides) if at == 0
        ),
    )
