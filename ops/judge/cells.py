"""What one look shows of each cell, a task class and stratum: on the canary and on what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ops.judge.counting import Cells, Counts
from ops.judge.grading import Floats
from ops.judge.model import Compared, Sides, Situation
from serving.contract import OF_STREAMS, Arm, BadEvent, Levels

TWO_SIDED = frozenset({BadEvent.OUTPUT_LENGTH})
"""Events that count in both directions: answers that grew shorter are as telling as answers that grew longer."""

EVERY = ""
"""The group of all cells."""
Whole = dict[BadEvent, Mapping[str, Sides]]
Recent = dict[BadEvent, Sides]


@dataclass(frozen=True)
class Seen:
    """All cells at a look, each thing of theirs in the same order."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    canary: tuple[Counts, ...]
    reference: tuple[Counts, ...]
    earlier: tuple[Counts, ...]
    """The reference's before this look: rates are taken from it, so that this look's chance has no part in them."""
    so_far: tuple[Compared, ...]
    """With this look."""
    levels: tuple[Levels, ...]

    @cached_property
    def share_of_assigned(self) -> Floats:
        """The canary's part of the requests, 0 to 1: taken from what was assigned in this epoch, not requested."""
        return _shares([one.canary.assigned for one in self.so_far], [one.reference.assigned for one in self.so_far])

    @cached_property
    def share_of_streamed(self) -> Floats:
        return _shares([one.canary.streamed for one in self.so_far], [one.reference.streamed for one in self.so_far])

    def share(self, event: BadEvent) -> Floats:
        """Of the requests that could show the event."""
        return self.share_of_streamed if event in OF_STREAMS else self.share_of_assigned


def _shares(canary: Sequence[int], reference: Sequence[int]) -> Floats:
    of_canary = np.array(canary, dtype=float)
    found: Floats = of_canary / np.maximum(of_canary + np.array(reference, dtype=float), 1)
    return found


def seen_cells(increments: Cells, before: Mapping[str, Compared], now: Situation, reference: Arm) -> Seen:
    names = tuple(sorted({cell for cell, _ in increments}))
    canary = tuple(increments.get((name, Arm.CANARY), _NOTHING) for name in names)
    compared = tuple(increments.get((name, reference), _NOTHING) for name in names)
    known = [before.get(name, _NEVER) for name in names]
    return Seen(
        names,
        tuple(map(prompt_group, names)),
        canary,
        compared,
        tuple(one.reference for one in known),
        tuple(map(_so_far, known, canary, compared)),
        tuple(map(now.levels_of, names)),
    )


_NOTHING, _NEVER = Counts(), Compared()


def _so_far(before: Compared, canary: Counts, reference: Counts) -> Compared:
    # Of the canary the sizes alone are needed; its levels and bad events are in the profiles.
    had = before.canary
    sizes = had.assigned + canary.assigned, had.finished + canary.finished, had.streamed + canary.streamed
    return Compared(Counts(*sizes), before.reference.plus(reference))


def prompt_group(cell: str) -> str:
    """``p1`` of ``completion/p1o0``: how long the prompt is, which no release can influence."""
    return cell.partition("/")[2].partition("o")[0]


def directions(event: BadEvent) -> tuple[int, ...]:
    return (1, -1) if event in TWO_SIDED else (1,)


def opportunities(counts: Counts, event: BadEvent) -> int:
    """The requests that could show the event."""
    return counts.streamed if event in OF_STREAMS else counts.assigned
