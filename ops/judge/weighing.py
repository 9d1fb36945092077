"""What the gathered evidence of each event amounts to: e-values against the canary and for it, and where it stands out.

All events of a kind are weighed at once: their e-values are one array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import NamedTuple, cast

from ops.judge.evidence import logs_below, mixed_each
from ops.judge.grading import Floats
from ops.judge.keeping import CANARY_STEP, REFERENCE_STEP, Kept
from ops.judge.ledger import EVERY, Ledger
from ops.judge.model import EventEvidence
from ops.judge.rules import Kind, Rules
from ops.judge.tables import ASSIGNED, COLUMN, FINISHED, FIRST_LEVEL, GRADE, opportunity
from ops.rollout.plan import AnalysisPlan, EventPlan
from serving.contract import OF_STREAMS, BadEvent

_OF_USAGE = frozenset({BadEvent.SLOW_TOKENS, BadEvent.OUTPUT_LENGTH})
"""Seen only of whole answers whose engine told how many tokens they have."""


class _Weighed(NamedTuple):
    """An event's, before its budget and what is tolerated."""

    worse: float = 1.0
    harmless: float = 1.0
    group: str = EVERY
    """Where it stands out."""
    cut: int | None = None
    canary: int = 0
    total: int = 0
    expected: float = 0.0


def weighed(kept: Kept, rules: Rules, analysis: AnalysisPlan) -> tuple[EventEvidence, ...]:
    """Of every event that is not off, in the plan's order."""
    canary, reference = kept.totals[CANARY_STEP].tolist(), kept.totals[REFERENCE_STEP].tolist()
    against, in_favour, over_budget, tolerated = _e_values(kept, rules, canary)
    by_event: dict[BadEvent, _Weighed] = {}
    for i, kind in enumerate((rules.graded, rules.yes_no)):
        by_event.update(_weigh(kind, kept.whole[i], against[i], in_favour[i], analysis.prompt_groups))
    needed = len(analysis.critical) / analysis.false_rollback_rate_max
    needed_for = 1 / analysis.false_promotion_rate_max
    found = []
    for rule in rules.events:
        event = rule.event
        worse, harmless, group, cut, on_canary, total, expected = by_event[event]
        # The mean of e-values is one: a second way to the same conclusion costs a factor of two, no error rate.
        if event in over_budget:
            worse = (worse + over_budget[event]) / 2
        if event in tolerated:
            harmless = (harmless + tolerated[event]) / 2
        found.append(
            EventEvidence(
                event=event,
                role=rule.role,
                canary=on_canary,
                total=total,
                expected=expected,
                e_worse=worse,
                e_worse_needed=needed,
                e_harmless=harmless,
                e_harmless_needed=needed_for,
                canary_rate=_step_rate(canary, event, cut),
                observable=_observable(canary, reference, event),
                group=group,
                past_quantile=None if cut is None else analysis.level_quantiles[cut],
            )
        )
    return tuple(found)


E = list[list[float]]
"""E-values: sides x groups."""


def _e_values(
    kept: Kept, rules: Rules, canary: Sequence[float]
) -> tuple[list[E], list[E], dict[BadEvent, float], dict[BadEvent, float]]:
    """Against the canary and for it, of graded and of yes/no events; of those with a budget; of those with a tolerated
    rate. All mixtures are one array: each array costs as much as what is reckoned with it."""
    ledgers = (*kept.whole, *kept.recent)
    parts = [(ledger.points.reshape(-1, ledger.points.shape[2]), ledger.levels) for ledger in ledgers]
    parts += [(kept.absolute[rules.budgeted_at], 1), (_tolerated(canary, rules.tolerated), 1)]
    *found, over_budget, tolerated = mixed_each(parts)
    e = [cast(E, of.reshape(ledger.points.shape[:2]).tolist()) for of, ledger in zip(found, ledgers, strict=True)]
    return (
        e[:2],
        e[2:],
        {rule.event: of for rule, of in zip(rules.budgeted, over_budget.tolist(), strict=True)},
        {rule.event: of for rule, of in zip(rules.tolerated, tolerated.tolist(), strict=True)},
    )


def _weigh(
    kind: Kind, whole: Ledger, against: E, in_favour: E, prompt_groups: int
) -> Iterator[tuple[BadEvent, _Weighed]]:
    of_people = whole.of_people  # sides x groups x (canary, total, expected) x levels
    seen = cast(list[list[bool]], of_people[:, :, 1].any(axis=2).tolist())
    graded = whole.levels > 1
    for event, first, end in kind.spans:
        if not seen[first][0]:
            yield event, _Weighed(cut=0 if graded else None)
            continue
        # Of an event that counts in both directions, their mean.
        e = [sum(sides) / len(sides) for sides in zip(*against[first:end], strict=True)]
        worse, group = _over_groups(e, seen[first], prompt_groups)
        numbers = of_people[first, group].tolist()
        cut = _telling_cut(*numbers) if graded else None
        canary, total, expected = (sum(of[0 if cut is None else cut + 1 :]) for of in numbers)
        harmless = min(of[0] for of in in_favour[first:end])
        yield event, _Weighed(worse, harmless, whole.groups[group], cut, round(canary), round(total), expected)


def _over_groups(e: Sequence[float], seen: Sequence[bool], prompt_groups: int) -> tuple[float, int]:
    """The mixture over the groups, and which of them stands out.

    Half of the mixture is on all requests, the first group; half is spread over the lengths of prompts, and of those
    not seen e is 1. What adds most stands out: all requests, unless one length of prompt alone says more.
    """
    known = [i for i in range(1, len(e)) if seen[i]]
    parts = sum([e[i] for i in known]) + prompt_groups - len(known)
    most = max(known, key=e.__getitem__, default=0)
    return (e[0] + parts / prompt_groups) / 2, most if most and e[most] / prompt_groups > e[0] else 0


def _telling_cut(canary: list[float], total: list[float], expected: list[float]) -> int:
    """The cut past which the canary's surplus is least to be expected by chance: people want one number."""
    most, found, fell, of, likely = 0.0, 0, 0.0, 0.0, 0.0
    for cut in range(len(total) - 2, -1, -1):
        fell, of, likely = fell + canary[cut + 1], of + total[cut + 1], likely + expected[cut + 1]
        if 0 < likely < of:
            surprise = abs(fell - likely) / sqrt(likely * (1 - likely / of))
            if surprise and surprise >= most:
                most, found = surprise, cut
    return found


def _tolerated(canary: Sequence[float], rules: Sequence[EventPlan]) -> Floats:
    hanging = _may_hang(canary)
    finished = canary[FINISHED] + hanging
    bad = [canary[COLUMN[rule.event]] + hanging for rule in rules]
    total = [max(one, finished) for one in bad]
    return logs_below(tuple([rule.tolerated_rate or 0.0 for rule in rules]), bad=bad, total=total)


def _observable(canary: Sequence[float], reference: Sequence[float], event: BadEvent) -> bool:
    """Whether a request of the step could have shown the event: what could not is not waited for."""
    if event in _OF_USAGE:
        return any(_levels(canary, event)) or any(_levels(reference, event))
    could = opportunity(event)
    return canary[could] + (reference[could] if event in OF_STREAMS else 0) > 0


def _step_rate(canary: Sequence[float], event: BadEvent, cut: int | None) -> float:
    if cut is None:
        could = canary[opportunity(event)]
        return canary[COLUMN[event]] / could if could else 0.0
    levels = _levels(canary, event)
    return sum(levels[cut + 1 :]) / sum(levels) if any(levels) else 0.0


def _levels(counted: Sequence[float], event: BadEvent) -> Sequence[float]:
    levels = (len(counted) - FIRST_LEVEL) // len(GRADE)
    first = FIRST_LEVEL + GRADE[event] * levels
    return counted[first : first + levels]


def _may_hang(canary: Sequence[float]) -> float:
    """How many of the canary's requests are past their target and have not ended, at most: not taken for good ones.

    Without them those that hang would count as nothing until they time out, and what has finished would look clean.
    """
    return max(0.0, min(canary[ASSIGNED] - canary[FINISHED], canary[COLUMN[BadEvent.OVER_TARGET]]))
