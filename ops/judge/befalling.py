"""What a look adds to the evidence of yes/no events: on which arm they fell.

All of them are one array: a row is one cell of one event.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ops.judge.cells import Seen, members
from ops.judge.evidence import yes_no_gains
from ops.judge.grading import Floats
from ops.judge.ledger import sums_of
from ops.judge.rules import Kind
from ops.judge.spreading import Sums

_RATE_GUESS, _RATE_GUESS_REQUESTS = 0.25, 2
"""The reference's rate of a yes/no event before anything is known: a guess that a few real requests outweigh."""


def yes_no_sums(seen: Seen, kind: Kind, groups: tuple[str, ...]) -> Sums:
    canary = _rows(seen.canary, kind)
    total = canary + _rows(seen.reference, kind)
    share = seen.shares[kind.could].reshape(-1, 1)
    could = seen.earlier[:, kind.could].T.reshape(-1, 1)
    bad = np.minimum(_rows(seen.earlier, kind), could)
    rates = (bad + _RATE_GUESS * _RATE_GUESS_REQUESTS) / (could + _RATE_GUESS_REQUESTS)
    odds = _odds(kind, len(seen.cells))
    gained = yes_no_gains(odds, canary, total, share, rates)
    sums = sums_of(np.concatenate((gained, canary, total, total * share), axis=1).T, members(seen.groups, groups))
    against, in_favour, told = len(kind.against), odds.shape[1], 3
    # In favour the boundary is a log like all others: what it adds is taken from what its alternatives do.
    before = sums[:, :1, against - 1 : against]
    return (
        np.concatenate((sums[:, :, : against - 1], sums[:, :, -told:]), axis=2),
        np.concatenate((sums[:, :1, against : in_favour - 1] - before, sums[:, :1, -told:]), axis=2),
    )


def happened(seen: Seen, kind: Kind) -> bool:
    """Whether any of the events did, on either arm."""
    return bool(seen.canary[:, kind.column].any() or seen.reference[:, kind.column].any())


def _rows(counted: Floats, kind: Kind) -> Floats:
    """A column of events x cells."""
    return counted[:, kind.column].T.reshape(-1, 1)


@lru_cache(64)
def _odds(kind: Kind, cells: int) -> Floats:
    """Of the evidence against and then for the canary: (events x cells) x odds ratios, of a boundary and alternatives
    each."""
    return np.repeat(np.exp(np.concatenate((kind.against, kind.in_favour)).T), cells, axis=0)
