"""What a look adds to the evidence of graded events: how the requests of each arm spread over the levels.

All graded events' cells are one array: its places are, side by side of every event, the cells in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ops.judge.cells import Seen, members
from ops.judge.evidence import steepness
from ops.judge.grading import Floats, Graded, Logs, Odds, level_gains, odds_of
from ops.judge.ledger import sums_of
from ops.judge.rules import Kind
from ops.judge.tables import on_levels
from serving.contract import Levels

_LEVELS_GUESS_REQUESTS = 8
"""The reference's rates of passing the cuts before anything is known: a guess that few real requests outweigh."""
Sums = tuple[Floats, Floats]
"""What ledgers grow by: of the evidence against the canary, in the groups; and of that for it, over all cells."""


def graded_sums(
    seen: Seen, kind: Kind, groups: tuple[str, ...], cuts: Sequence[Levels], quantiles: tuple[float, ...]
) -> Sums:
    """``cuts``: of each cell."""
    rows = np.stack((seen.canary, seen.reference, seen.earlier))
    spread = on_levels(rows.reshape(-1, rows.shape[2])).reshape(3, len(seen.cells), -1, len(quantiles) + 1)
    places = spread[:, :, kind.column].transpose(0, 3, 2, 1).reshape(3, len(quantiles) + 1, -1)
    canary, reference, earlier = places
    share = seen.shares[kind.could].ravel()
    own = members(seen.groups, groups)
    of_places = tuple([of_cell.get(event, ()) for event, _ in kind.sides for of_cell in cuts])
    graded = Graded(canary, canary + reference, share, passing_rates(earlier, quantiles))
    against, in_favour = level_gains(_odds(kind, of_places, quantiles), graded, own)
    of_people = np.concatenate((graded.canary, graded.total, graded.total * share))
    told = sums_of(of_people, own)
    return np.concatenate((against, told), axis=2), np.concatenate((in_favour[:, :1], told[:, :1]), axis=2)


@lru_cache(64)
def _odds(kind: Kind, cuts: tuple[tuple[float, ...], ...], quantiles: tuple[float, ...]) -> Odds:
    """Of the evidence against and for the canary. ``cuts``: of each place."""
    cells = len(cuts) // len(kind.sides)
    against = Logs(np.repeat(kind.against, cells, axis=1), apart=True)
    in_favour = Logs(np.repeat(kind.in_favour, cells, axis=1), apart=False)
    return odds_of((against, in_favour), np.array([steepness(of_place, quantiles) for of_place in cuts]))


def passing_rates(earlier: Floats, quantiles: tuple[float, ...]) -> Floats:
    """The reference's rate of passing each cut, strictly falling and within (0, 1): cuts x places.

    ``earlier``: levels x places.
    """
    guess = _guess(quantiles)
    counted = earlier.sum(axis=0) + _LEVELS_GUESS_REQUESTS
    found: Floats = (earlier[::-1].cumsum(axis=0)[-2::-1] + guess) / counted
    return found


@lru_cache(64)
def _guess(quantiles: tuple[float, ...]) -> Floats:
    return (1 - np.array(quantiles)[:, None]) * _LEVELS_GUESS_REQUESTS


def shown(seen: Seen) -> bool:
    """Whether anything of any graded event was."""
    return bool(on_levels(seen.canary).any() or on_levels(seen.reference).any())
