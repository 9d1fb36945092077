"""What a look adds to what the judge remembers: shares and rates by cell, and evidence by event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ops.judge.counting import Cells, Counts
from ops.judge.evidence import Boundary, Fallen, Profile, above_bound, better_than, gains, grown, steepness, worse_than
from ops.judge.model import Compared, JudgeState, Sides, Situation
from ops.rollout.plan import AnalysisPlan, EventPlan, Role
from serving.contract import GRADED, OF_STREAMS, Arm, BadEvent

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
    compared = dict(state.compared)
    canary_all, reference_all = Counts(), Counts()
    fallen: dict[BadEvent, dict[str, Fallen]] = defaultdict(dict)
    judged = [event.event for event in plan.events if event.role is not Role.OFF]
    for cell in sorted({cell for cell, _ in increments}):
        canary = increments.get((cell, Arm.CANARY), Counts())
        canary_all = canary_all.plus(canary)
        if now.reference is None:
            continue
        reference = increments.get((cell, now.reference), Counts())
        reference_all = reference_all.plus(reference)
        before = compared.get(cell, Compared())
        after = compared[cell] = Compared(before.canary.plus(canary), before.reference.plus(reference))
        for event in judged:
            cuts = now.cuts(cell, event)
            found = _fallen(event, canary, reference, before.reference, after, plan, cuts)
            if found:
                fallen[event][cell] = found
    whole, recent = dict(state.whole), dict(state.recent)
    for rule in plan.events:
        cells = fallen.get(rule.event)
        if cells:
            sides = (1, -1) if rule.event in TWO_SIDED else (1,)
            margins = [worse_than(rule.margin, rule.event in GRADED, side) for side in sides]
            harms = [better_than(rule.harm, side) for side in sides]
            whole[rule.event] = _observed(whole.get(rule.event, {}), margins, cells, grouped=True)
            so_far = {EVERY: recent[rule.event]} if rule.event in recent else {}
            recent[rule.event] = _observed(so_far, harms, cells, grouped=False)[EVERY]
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


def _groups(cells: Iterable[str]) -> dict[str, list[int]]:
    """All of the cells, and those of each length of prompt, by their places: a release may be worse for one alone."""
    found: dict[str, list[int]] = defaultdict(list)
    for i, cell in enumerate(cells):
        found[EVERY].append(i)
        found[prompt_group(cell)].append(i)
    return found


def prompt_group(cell: str) -> str:
    """``p1`` of ``completion/p1o0``: how long the prompt is, which no release can influence."""
    return cell.partition("/")[2].partition("o")[0]


def _observed(
    before: Mapping[str, Sides], boundaries: list[Boundary], fallen: Mapping[str, Fallen], grouped: bool
) -> dict[str, Sides]:
    """The profiles of each group after more happened; of all cells alone unless ``grouped``."""
    cells = list(fallen.values())
    gained = [gains(at, cells) for at in boundaries]
    groups = _groups(fallen) if grouped else {EVERY: list(range(len(cells)))}
    found = dict(before)
    for group, places in groups.items():
        profiles = before.get(group) or (Profile(),) * len(boundaries)
        here = [cells[i] for i in places]
        found[group] = tuple(
            grown(profile, of_side[places], here) for profile, of_side in zip(profiles, gained, strict=True)
        )
    return found


def _fallen(
    event: BadEvent,
    canary: Counts,
    reference: Counts,
    earlier: Counts,
    so_far: Compared,
    plan: AnalysisPlan,
    cuts: tuple[float, ...],
) -> Fallen | None:
    """What the look showed of ``event`` in a cell; None if nothing. Rates are the reference's of earlier looks, so
    that this look's chance has no part in them."""
    if event in GRADED:
        on_canary, on_reference = canary.levels.get(event), reference.levels.get(event)
        if on_canary is None and on_reference is None:
            return None
        nothing = (0,) * len(on_canary or on_reference or ())
        on_canary, on_reference = on_canary or nothing, on_reference or nothing
        rates = passing_rates(earlier.levels.get(event), plan.level_quantiles)
    else:
        on_canary, on_reference = (canary.bad.get(event, 0),), (reference.bad.get(event, 0),)
        rates = (_event_rate(event, earlier),)
    if not any(on_canary) and not any(on_reference):
        return None
    steep = steepness(cuts, plan.level_quantiles) if cuts else 1.0
    return Fallen(on_canary, on_reference, _share(so_far, event), rates, steep)


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


def passing_rates(levels: tuple[int, ...] | None, quantiles: tuple[float, ...]) -> tuple[float, ...]:
    """The reference's rate of passing each cut, strictly falling and within (0, 1)."""
    levels = levels or (0,) * (len(quantiles) + 1)
    counted = sum(levels) + _LEVELS_GUESS_REQUESTS
    return tuple(
        (sum(levels[i + 1 :]) + (1 - fraction) * _LEVELS_GUESS_REQUESTS) / counted
        for i, fraction in enumerate(quantiles)
    )


def _absolute(state: JudgeState, canary: Counts, plan: AnalysisPlan) -> Mapping[BadEvent, tuple[float, ...]]:
    """Against "the canary's rate is within its budget", or within the margin of the reference's where that is higher:
    a service that is past its budget anyway is not saved by rolling back a release that is no worse."""
    found = dict(state.absolute)
    for event in plan.events:
        if event.budget_rate is None or event.role is Role.OFF:
            continue
        could, bad = opportunities(canary, event.event), canary.bad.get(event.event, 0)
        if could or bad:
            before = found.get(event.event, ())
            found[event.event] = above_bound(before, _bound(event, state.reference_whole), bad=bad, total=could)
    return found


def _bound(event: EventPlan, reference: Counts) -> float:
    """The budget is also what is believed of the reference until its own requests outweigh it."""
    budget = event.budget_rate or 0.0
    believed = (reference.bad.get(event.event, 0) + 1) / (opportunities(reference, event.event) + 1 / budget)
    return min(max(budget, event.margin * believed), (1 + budget) / 2)
