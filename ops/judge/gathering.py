"""What a look adds to what the judge remembers: shares and rates by cell, and evidence by event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ops.judge.befalling import gather_yes_no
from ops.judge.cells import opportunities, seen_cells
from ops.judge.counting import Cells, Counts, summed
from ops.judge.evidence import above_bounds
from ops.judge.model import JudgeState, Situation
from ops.judge.spreading import gather_graded
from ops.rollout.plan import AnalysisPlan, EventPlan, Role
from serving.contract import Arm, BadEvent


def entered(state: JudgeState, now: Situation) -> JudgeState:
    """At a new epoch the shares begin anew, at a new step the evidence for promotion does."""
    if state.epoch != now.epoch:
        state = replace(state, epoch=now.epoch, compared={})
    if state.step != now.step:
        state = replace(state, step=now.step, recent={}, canary_step=Counts(), reference_step=Counts())
    return state


def gathered(state: JudgeState, increments: Cells, now: Situation, plan: AnalysisPlan) -> JudgeState:
    canary_all = summed([counts for (_, arm), counts in increments.items() if arm is Arm.CANARY])
    reference_all = summed([counts for (_, arm), counts in increments.items() if arm is now.reference])
    compared, whole, recent = dict(state.compared), dict(state.whole), dict(state.recent)
    if now.reference is not None:
        seen = seen_cells(increments, compared, now, now.reference)
        compared.update(zip(seen.names, seen.so_far, strict=True))
        gather_graded(whole, recent, seen, plan)
        gather_yes_no(whole, recent, seen, plan)
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
