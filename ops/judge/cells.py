"""What one look shows of each cell, a task class and stratum: on the canary and on what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ops.judge.grading import Floats
from ops.judge.keeping import CANARY, REFERENCE, Kept
from ops.judge.rules import Ints
from ops.judge.tables import STREAMED, Key, Table, padded
from serving.contract import Arm


@dataclass(frozen=True, eq=False)
class Layout:
    """Which rows of a table are whose."""

    cells: tuple[str, ...]
    """Those known before and those of the table, sorted."""
    groups: tuple[str, ...]
    """Of each cell."""
    rows: Ints
    """Canary and reference x cells; -1: the table has none."""


@dataclass(frozen=True, eq=False)
class Seen:
    """All cells at a look, each thing of theirs in the same order."""

    cells: tuple[str, ...]
    groups: tuple[str, ...]
    """Of each cell."""
    canary: Floats
    """Cells x columns, of this look."""
    reference: Floats
    earlier: Floats
    """The reference's before this look: rates are taken from it, so that this look's chance has no part in them."""
    so_far: Floats
    """Canary and reference x cells x columns, with this look."""
    shares: Floats
    """By column of those that say how many could show an event, x cells: the canary's part, 0 to 1, taken from what was
    assigned in this epoch, not requested."""


@lru_cache(64)
def layout(known: tuple[str, ...], keys: tuple[Key, ...], reference: Arm | None) -> Layout:
    cells = tuple(sorted({*known, *(cell for cell, _ in keys)}))
    at = {key: i for i, key in enumerate(keys)}
    arms = (Arm.CANARY, reference)
    rows = np.array([[at.get((cell, arm), -1) if arm else -1 for cell in cells] for arm in arms], dtype=int)
    return Layout(cells, tuple(map(prompt_group, cells)), rows)


def seen_cells(kept: Kept, table: Table, reference: Arm | None) -> Seen:
    """``table``: as wide as what is kept."""
    laid = layout(kept.cells, table.keys_of_rows, reference)
    now = padded(table.rows)[laid.rows]
    before = kept.with_cells(laid.cells)
    so_far = before + now
    sizes = so_far[:, :, : STREAMED + 1]
    together = sizes.sum(axis=0)
    shares = np.divide(sizes[CANARY], together, out=np.zeros_like(together), where=together > 0).T
    return Seen(laid.cells, laid.groups, now[CANARY], now[REFERENCE], before[REFERENCE], so_far, shares)


@lru_cache(64)
def members(of_cells: tuple[str, ...], groups: tuple[str, ...]) -> Floats:
    """Which cells are whose: cells x groups, 0 or 1. That of all cells is first."""
    return np.array([[group in ("", own) for group in groups] for own in of_cells], dtype=float)


def prompt_group(cell: str) -> str:
    """``p1`` of ``completion/p1o0``: how long the prompt is, which no release can influence."""
    return cell.partition("/")[2].partition("o")[0]
