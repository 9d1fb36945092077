"""What the judge remembers, as arrays to reckon with; and as what is kept on record.

Looks follow each other within seconds, and each needs all of it as arrays; a record is written and read as counts and
profiles (``ops.judge.model.JudgeState``). The same is in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from ops.judge.counts import Counts
from ops.judge.evidence import RATE_ALTERNATIVES
from ops.judge.grading import Floats
from ops.judge.ledger import Ledger, Sides, with_records
from ops.judge.rules import Rules
from ops.judge.tables import EVENTS, SIZES, columns, counts_of, padded, rows_of, widened
from serving.contract import BadEvent

CANARY_WHOLE, CANARY_STEP, REFERENCE_STEP, REFERENCE_WHOLE = range(4)
"""The canary's first, for what a look adds to."""
CANARY, REFERENCE = range(2)


class Compared(msgspec.Struct, frozen=True, gc=False):
    """What was counted in one cell in this epoch, on the canary and on its reference."""

    canary: Counts = Counts()
    """Without its bad events and levels."""
    reference: Counts = Counts()


@dataclass(frozen=True, eq=False)
class Kept:
    cells: tuple[str, ...]
    """Those seen in this epoch, sorted."""
    compared: Floats
    """Canary and reference x cells x columns of a table."""
    whole: tuple[Ledger, Ledger]
    """Of graded and of yes/no events, since the rollout began."""
    recent: tuple[Ledger, Ledger]
    """The same since the step began, of all cells alone."""
    absolute: Floats
    """Events x alternatives: log-likelihood ratios."""
    held: Floats
    """Events: above 0 where anything was held against the budget."""
    totals: Floats
    """The four sums, as their constants say, x columns."""

    def in_new_epoch(self) -> Kept:
        return replace(self, cells=(), compared=np.zeros((2, 0, self.totals.shape[1])))

    def in_new_step(self) -> Kept:
        totals = self.totals.copy()
        totals[[CANARY_STEP, REFERENCE_STEP]] = 0.0
        recent = tuple(replace(ledger, sums=np.zeros_like(ledger.sums)) for ledger in self.recent)
        return replace(self, totals=totals, recent=(recent[0], recent[1]))

    def with_cells(self, cells: tuple[str, ...]) -> Floats:
        """``compared`` of these."""
        if cells == self.cells:
            return self.compared
        at = {cell: i for i, cell in enumerate(self.cells)}
        return np.stack([padded(rows)[[at.get(cell, -1) for cell in cells]] for rows in self.compared])


def restored(
    compared: Mapping[str, Compared],
    whole: Mapping[BadEvent, Mapping[str, Sides]],
    recent: Mapping[BadEvent, Sides],
    absolute: Mapping[BadEvent, tuple[float, ...]],
    totals: Sequence[Counts],
    rules: Rules,
    levels: int,
) -> Kept:
    """From a record. Raises ValueError if its graded events are cut into another number of levels."""
    kinds, width = ((rules.graded, levels), (rules.yes_no, 1)), columns(levels)
    cells = tuple(sorted(compared))
    arms = [[compared[cell].canary for cell in cells], [compared[cell].reference for cell in cells]]
    recent_groups = {event: {"": sides} for event, sides in recent.items()}
    of_whole = [with_records(kind.blank(kind.against, size), whole) for kind, size in kinds]
    of_recent = [with_records(kind.blank(kind.in_favour, size), recent_groups) for kind, size in kinds]
    points = np.array([absolute.get(event, (0.0,) * RATE_ALTERNATIVES) for event in EVENTS])
    held = np.array([float(event in absolute) for event in EVENTS])
    return Kept(
        cells,
        np.stack([widened(rows_of(counted), width) for counted in arms]),
        (of_whole[0], of_whole[1]),
        (of_recent[0], of_recent[1]),
        points,
        held,
        widened(rows_of(totals), width),
    )


# --- The record -----------------------------------------------------------------------------------------------------


def _compared(kept: Kept) -> dict[str, Compared]:
    sizes = kept.compared[CANARY, :, :SIZES].astype(int).tolist()
    return {
        cell: Compared(Counts(*own), counts_of(row))
        for cell, own, row in zip(kept.cells, sizes, kept.compared[REFERENCE], strict=True)
    }


def _whole(kept: Kept) -> dict[BadEvent, dict[str, Sides]]:
    return kept.whole[0].records() | kept.whole[1].records()


def _recent(kept: Kept) -> dict[BadEvent, Sides]:
    found = kept.recent[0].records() | kept.recent[1].records()
    return {event: of_event[""] for event, of_event in found.items()}


def _absolute(kept: Kept) -> dict[BadEvent, tuple[float, ...]]:
    return {
        event: tuple(points)
        for event, points, held in zip(EVENTS, kept.absolute.tolist(), kept.held.tolist(), strict=True)
        if held
    }


def _total(which: int) -> Callable[[Kept], Counts]:
    return lambda kept: counts_of(kept.totals[which])


RECORDS: Mapping[str, Callable[[Kept], object]] = {
    "compared": _compared,
    "whole": _whole,
    "recent": _recent,
    "absolute": _absolute,
    "canary_whole": _total(CANARY_WHOLE),
    "canary_step": _total(CANARY_STEP),
    "reference_step": _total(REFERENCE_STEP),
    "reference_whole": _total(REFERENCE_WHOLE),
}
"""By field of ``JudgeState``."""
