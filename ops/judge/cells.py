"""What one look shows of one cell: a task class and stratum, on the canary and on what it is compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ops.judge.counting import Counts
from ops.judge.model import Compared, Sides, Situation
from serving.contract import OF_STREAMS, BadEvent, Levels

TWO_SIDED = frozenset({BadEvent.OUTPUT_LENGTH})
"""Events that count in both directions: answers that grew shorter are as telling as answers that grew longer."""

EVERY = ""
"""The group of all cells."""
Whole = dict[BadEvent, Mapping[str, Sides]]
Recent = dict[BadEvent, Sides]


@dataclass(frozen=True)
class Cell:
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


def cell_of(name: str, canary: Counts, reference: Counts, before: Compared, now: Situation) -> Cell:
    # Of the canary the shares alone are needed; its levels and bad events are in the profiles.
    only_sizes = Counts(canary.assigned, canary.finished, canary.streamed)
    so_far = Compared(before.canary.plus(only_sizes), before.reference.plus(reference))
    return Cell(name, prompt_group(name), canary, reference, before.reference, so_far, now.levels_of(name))


def prompt_group(cell: str) -> str:
    """``p1`` of ``completion/p1o0``: how long the prompt is, which no release can influence."""
    return cell.partition("/")[2].partition("o")[0]


def directions(event: BadEvent) -> tuple[int, ...]:
    return (1, -1) if event in TWO_SIDED else (1,)


def groups(cells: Iterable[Cell]) -> dict[str, list[int]]:
    """All of the cells, and those of each length of prompt, by their places: a release may be worse for one alone."""
    found: dict[str, list[int]] = defaultdict(list)
    for i, cell in enumerate(cells):
        found[EVERY].append(i)
        found[cell.group].append(i)
    return found


def opportunities(counts: Counts, event: BadEvent) -> int:
    """The requests that could show the event."""
    return counts.streamed if event in OF_STREAMS else counts.assigned


def share(so_far: Compared, event: BadEvent) -> float:
    """The canary's part of the requests that could show the event: taken from what was assigned, not requested."""
    canary, reference = opportunities(so_far.canary, event), opportunities(so_far.reference, event)
    return canary / (canary + reference) if canary + reference else 0.0
