"""What a look adds to what the judge remembers: shares and rates by cell, and evidence by event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ops.judge.counting import Cells, Counts, summed
from ops.judge.evidence import (
    Boundary,
    Fallen,
    Profile,
    above_bounds,
    better_than,
    gains,
    grown,
    steepness,
    worse_than,
)
from ops.judge.grading import Floats, Graded, level_gains
from ops.judge.model import Compared, JudgeState, Sides, Situation
from ops.rollout.plan import AnalysisPlan, EventPlan, Role
from serving.contract import GRADED, OF_STREAMS, Arm, BadEvent, Levels

TWO_SIDED = frozenset({BadEvent.OUTPUT_LENGTH})
"""Events that count in both directions: answers that grew shorter are as telling as answers that grew longer."""

EVERY = ""
"""The group of all cells."""
_RATE_GUESS, _RATE_GUESS_REQUESTS = 0.25, 2
"""The reference's rate of a yes/no event before anything is known: a guess that a few real requests outweigh."""
_LEVELS_GUESS_REQUESTS = 8
"""The same for graded events, whose cuts lie at known quantiles."""


def entered(state: JudgeState, now: Situation) -> JudgeState:
    """At a new epoch the shares begin anew, at a new step the evidence for promotion does."""
    if state.epoch != now.epoch:
        state = replace(state, epoch=now.epoch, compared={})
    if state.step != now.step:
        state = replace(state, step=now.step, recent={}, canary_step=Counts(), reference_step=Counts())
    return state


def gathered(state: JudgeState, increments: Cells, now: Situation, plan: AnalysisPlan) -> JudgeState:
    names = sorted({cell for cell, _ in increments})
    nothing = Counts()
    canary = [increments.get((cell, Arm.CANARY), nothing) for cell in names]
    canary_all, reference_all = summed(canary), nothing
    compared, whole, recent = dict(state.compared), dict(state.whole), dict(state.recent)
    if now.reference is not None:
        reference = [increments.get((cell, now.reference), nothing) for cell in names]
        reference_all = summed(reference)
        cells = [
            _cell(name, on_canary, on_reference, compared.get(name, _NEVER), now)
            for name, on_canary, on_reference in zip(names, canary, reference, strict=True)
        ]
        compared.update((cell.name, cell.so_far) for cell in cells)
        _gather_graded(whole, recent, cells, plan)
        _gather_yes_no(whole, recent, cells, plan)
    return replace(
        state,
        compared=compared,
        whole=whole,
        recent=recent,
        absolute=_absolute(state, canary_all, plan),
        canary_whole=state.canary_whole.plus(canary_all),
        canary_step=state.canary_step.plus(canary_all),
        reference_step=state.reference_step.plus(reference_all),
        reference_whole=state.reference_whole.plus(reference_all),
    )


Whole = dict[BadEvent, Mapping[str, Sides]]
Recent = dict[BadEvent, Sides]
_NEVER = Compared()


@dataclass(frozen=True)
class _Cell:
    """One cell at a look."""

    name: str
    group: str
    canary: Counts
    reference: Counts
    earlier: Counts
    """The reference's before this look: rates are taken from it, so that this look's chance has no part in them."""
    so_far: Compared
    """With this look."""
    levels: Levels


def _cell(name: str, canary: Counts, reference: Counts, before: Compared, now: Situation) -> _Cell:
    so_far = Compared(before.canary.plus(canary), before.reference.plus(reference))
    return _Cell(name, prompt_group(name), canary, reference, before.reference, so_far, now.levels_of(name))


def prompt_group(cell: str) -> str:
    """``p1`` of ``completion/p1o0``: how long the prompt is, which no release can influence."""
    return cell.partition("/")[2].partition("o")[0]


def _sides(event: BadEvent) -> tuple[int, ...]:
    return (1, -1) if event in TWO_SIDED else (1,)


# --- Yes or no ------------------------------------------------------------------------------------------------------


def _gather_yes_no(whole: Whole, recent: Recent, cells: Sequence[_Cell], plan: AnalysisPlan) -> None:
    for rule in plan.events:
        event = rule.event
        if rule.role is Role.OFF or event in GRADED:
            continue
        here = [cell for cell in cells if event in cell.canary.bad or event in cell.reference.bad]
        if not here:
            continue
        fallen = [_fallen(event, cell) for cell in here]
        gained = gains(worse_than(rule.margin, False), fallen)
        groups = whole.get(event, {})
        found = {**groups}
        for group, places in _groups(here).items():
            before = groups.get(group, _BLANK)[0]
            found[group] = (grown(before, gained[places], [fallen[i] for i in places]),)
        whole[event] = found
        before = recent.get(event, _BLANK)[0]
        recent[event] = (grown(before, gains(better_than(rule.harm), fallen), fallen),)


_BLANK = (Profile(),)


def _groups(cells: Iterable[_Cell]) -> dict[str, list[int]]:
    """All of the cells, and those of each length of prompt, by their places: a release may be worse for one alone."""
    found: dict[str, list[int]] = defaultdict(list)
    for i, cell in enumerate(cells):
        found[EVERY].append(i)
        found[cell.group].append(i)
    return found


def _fallen(event: BadEvent, cell: _Cell) -> Fallen:
    on_canary, on_reference = cell.canary.bad.get(event, 0), cell.reference.bad.get(event, 0)
    return Fallen((on_canary,), (on_reference,), _share(cell.so_far, event), (_event_rate(event, cell.earlier),))


# --- Graded ---------------------------------------------------------------------------------------------------------


def _gather_graded(whole: Whole, recent: Recent, cells: Sequence[_Cell], plan: AnalysisPlan) -> None:
    """All graded events' cells are one array: a side of an event is so many of its rows."""
    rules = [rule for rule in plan.events if rule.event in GRADED and rule.role is not Role.OFF]
    shown = [(rule, cell) for rule in rules for cell in cells if _shows(rule.event, cell)]
    if not shown:
        return
    seen = _graded([(rule.event, cell) for rule, cell in shown], plan.level_quantiles)
    places: dict[BadEvent, list[int]] = defaultdict(list)
    for i, (rule, _) in enumerate(shown):
        places[rule.event].append(i)
    sides = [(rule, side, places[rule.event]) for rule in rules if rule.event in places for side in _sides(rule.event)]
    rows = np.array([i for _, _, own in sides for i in own])
    repeated = seen if len(rows) == len(shown) else seen.rows(rows)
    counts = [len(own) for _, _, own in sides]
    margins = [worse_than(rule.margin, True, side) for rule, side, _ in sides]
    harms = [better_than(rule.harm, side) for rule, side, _ in sides]
    against = _side_gains(margins, counts, repeated, apart=True)
    in_favour = _side_gains(harms, counts, repeated, apart=False)
    of_rows = np.concatenate([repeated.canary, repeated.total, repeated.total * repeated.share[:, None]], axis=1)
    first = 0
    to_whole, to_recent = _Growing(against, of_rows), _Growing(in_favour, of_rows)
    for rule, side, own in sides:
        at = 0 if side == 1 else 1
        for group, inside in _groups(shown[i][1] for i in own).items():
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


def _shows(event: BadEvent, cell: _Cell) -> bool:
    return any(cell.canary.levels.get(event, ())) or any(cell.reference.levels.get(event, ()))


def _graded(shown: Sequence[tuple[BadEvent, _Cell]], quantiles: tuple[float, ...]) -> Graded:
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
        np.array([_share(cell.so_far, event) for event, cell in shown]),
        passing_rates(earlier, quantiles),
        np.array([steepness(cell.levels.get(event, ()), quantiles) for event, cell in shown]),
    )


def passing_rates(earlier: Floats, quantiles: tuple[float, ...]) -> Floats:
    """The reference's rate of passing each cut, strictly falling and within (0, 1): rows x cuts."""
    guess = (1 - np.array(quantiles)) * _LEVELS_GUESS_REQUESTS
    counted = earlier.sum(axis=1, keepdims=True) + _LEVELS_GUESS_REQUESTS
    found: Floats = (earlier[:, ::-1].cumsum(axis=1)[:, -2::-1] + guess) / counted
    return found


# --- Shares and rates -----------------------------------------------------------------------------------------------


def opportunities(counts: Counts, event: BadEvent) -> int:
    """The requests that could show the event."""
    return counts.streamed if event in OF_STREAMS else counts.assigned


def _share(so_far: Compared, event: BadEvent) -> float:
    """The canary's part of the requests that could show the event: taken from what was assigned, not requested."""
    canary, reference = opportunities(so_far.canary, event), opportunities(so_far.reference, event)
    return canary / (canary + reference) if canary + reference else 0.0


def _event_rate(event: BadEvent, reference: Counts) -> float:
    could = opportunities(reference, event)
    bad = min(reference.bad.get(event, 0), could)
    return (bad + _RATE_GUESS * _RATE_GUESS_REQUESTS) / (could + _RATE_GUESS_REQUESTS)


def _absolute(state: JudgeState, canary: Counts, plan: AnalysisPlan) -> Mapping[BadEvent, tuple[float, ...]]:
    """Against "the canary's rate is within its budget", or within the margin of the reference's where that is higher:
    a service that is past its budget anyway is not saved by rolling back a release that is no worse."""
    rules = [
        rule
        for rule in plan.events
        if rule.budget_rate is not None
        and rule.role is not Role.OFF
        and (opportunities(canary, rule.event) or rule.event in canary.bad)
    ]
    if not rules:
        return state.absolute
    points = above_bounds(
        [state.absolute.get(rule.event, ()) for rule in rules],
        [_bound(rule, state.reference_whole) for rule in rules],
        bad=[canary.bad.get(rule.event, 0) for rule in rules],
        total=[opportunities(canary, rule.event) for rule in rules],
    )
    return {**state.absolute, **{rule.event: found for rule, found in zip(rules, points, strict=True)}}


def _bound(event: EventPlan, reference: Counts) -> float:
    """The budget is also what is believed of the reference until its own requests outweigh it."""
    budget = event.budget_rate or 0.0
    believed = (reference.bad.get(event.event, 0) + 1) / (opportunities(reference, event.event) + 1 / budget)
    return min(max(budget, event.margin * believed), (1 + budget) / 2)
