"""How many of a service's answers pass the cuts when all are slower: its classes and strata taken as one cell."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from statistics import NormalDist

import numpy as np

from ops.judge.evidence import steepness
from ops.judge.grading import Floats
from ops.judge.imagining import Traffic
from ops.judge.tallying import levels_of
from serving.contract import BadEvent

OF_TIME = (BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS)
_SHIFT_MAX = 4.0
"""Logarithm of a slowness beyond which everything passes every cut."""
_SHIFT_POINTS = 401
_SPREAD_MIN = 0.01
"""Of logarithms within a cell, the load taken out."""


def passing_tables(traffic: Traffic, quantiles: Sequence[float]) -> dict[BadEvent, tuple[Floats, list[Floats]]]:
    """By event: shifts of the logarithm, and for each cut the part that passes it at each shift."""
    grid = np.linspace(-_SHIFT_MAX, _SHIFT_MAX, _SHIFT_POINTS)
    normal = NormalDist()
    found = {}
    for event in OF_TIME:
        spread = _mean_spread(traffic, event, quantiles)
        within = sqrt(max(spread**2 - traffic.load_sigma**2, _SPREAD_MIN**2))
        cuts = [normal.inv_cdf(fraction) * spread for fraction in quantiles]
        found[event] = grid, [np.array([1 - normal.cdf((cut - x) / within) for x in grid.tolist()]) for cut in cuts]
    return found


def _cuts_by_cell(
    traffic: Traffic, event: BadEvent, quantiles: Sequence[float]
) -> list[tuple[float, tuple[float, ...]]]:
    return [(cell.share, levels_of(traffic, cell, quantiles)[event]) for cell in traffic.cells]


def mean_steepness(traffic: Traffic, event: BadEvent, quantiles: tuple[float, ...]) -> float:
    cells = _cuts_by_cell(traffic, event, quantiles)
    return sum(share * steepness(cuts, quantiles) for share, cuts in cells) / sum(share for share, _ in cells)


def _mean_spread(traffic: Traffic, event: BadEvent, quantiles: Sequence[float]) -> float:
    """The log-normal standard deviation within a cell."""
    ends = 0.1, 0.9
    width = NormalDist().inv_cdf(ends[1]) - NormalDist().inv_cdf(ends[0])
    cells = _cuts_by_cell(traffic, event, ends)
    return sum(share * log(cuts[1] / cuts[0]) / width for share, cuts in cells) / sum(share for share, _ in cells)
