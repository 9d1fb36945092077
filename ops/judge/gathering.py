"""What a look adds to what the judge remembers: shares and rates by cell, and evidence by event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ops.judge.cells import Cell, Recent, Whole, cell_of, groups, opportunities, share
from ops.judge.counting import Cells, Counts, summed
from ops.judge.evidence import Fallen, Profile, above_bounds, better_than, gains, grown, worse_than
from ops.judge.model import Compared, JudgeState, Sides, Situation
from ops.judge.spreading import gather_graded
from ops.rollout.plan import AnalysisPlan, EventPlan, Role
from serving.contract import GRADED, Arm, BadEvent

_RATE_GUESS, _RATE_GUESS_REQUESTS = 0.25, 2
"""The reference's rate of a yes/no event before anything is known: a guess that a few real requests outweigh."""


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
            cell_of(name, on_canary, on_reference, compared.get(name, _NEVER), now)
            for name, on_canary, on_reference in zip(names, canary, reference, strict=True)
        ]
        compared.update((cell.name, cell.so_far) for cell in cells)
        gather_graded(whole, recent, cells, plan)
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


_NEVER = Compared()
_BLANK: Sides = (Profile(),)


# --- Yes or no ------------------------------------------------------------------------------------------------------


def _gather_yes_no(whole: Whole, recent: Recent, cells: Sequence[Cell], plan: AnalysisPlan) -> None:
    for rule in plan.events:
        event = rule.event
        if rule.role is Role.OFF or event in GRADED:
            continue
        here = [cell for cell in cells if event in cell.canary.bad or event in cell.reference.bad]
        if not here:
            continue
        fallen = [_fallen(event, cell) for cell in here]
        gained = gains(worse_than(rule.margin, False), fallen)
        found = dict(whole.get(event, {}))
        for group, places in groups(here).items():
            before = found.get(group, _BLANK)[0]
            found[group] = (grown(before, gained[places], [fallen[i] for i in places]),)
        whole[event] = found
        before = recent.get(event, _BLANK)[0]
        recent[event] = (grown(before, gains(better_than(rule.harm), fallen), fallen),)


def _fallen(event: BadEvent, cell: Cell) -> Fallen:
    on_canary, on_reference = cell.canary.bad.get(event, 0), cell.reference.bad.get(event, 0)
    return Fallen((on_canary,), (on_reference,), share(cell.so_far, event), (_event_rate(event, cell.earlier),))


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
