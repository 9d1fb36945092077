"""The interval of a shift between two samples by Mann and Whitney's test, as Kayenta computes it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from benchmarks.judge.peers.brent import root

Z = NormalDist().inv_cdf(0.99)
"""98 %, two-sided: hard-coded there, whatever is configured."""
TOLERANCE = 1e-4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shift:
    low: float
    high: float
    estimate: float


def shift(experiment: Floats, control: Floats) -> Shift:
    """By how much the experiment lies above the control. Both have points, and not all of them are equal."""
    least, most = float(experiment.min() - control.max()), float(experiment.max() - control.min())

    def solved(goal: float) -> float:
        return root(lambda mu: statistic(experiment, control, mu) - goal, least, most, TOLERANCE)

    at_least, at_most = statistic(experiment, control, least), statistic(experiment, control, most)
    low = least if at_least <= Z else solved(Z)
    high = most if at_most >= -Z else solved(-Z)
    return Shift(low, high, solved(0.0))


def statistic(experiment: Floats, control: Floats, mu: float) -> float:
    """The standardised rank sum of the experiment moved down by ``mu``, corrected for ties and continuity."""
    n, m = len(experiment), len(control)
    ranks, ties = _ranks(np.concatenate([experiment - mu, control]))
    d = float(ranks[:n].sum()) - n * (n + 1) / 2 - n * m / 2
    both = n + m
    variance = n * m / 12 * ((both + 1) - float((ties**3 - ties).sum()) / (both * (both - 1)))
    return float((d - 0.5 * np.sign(d)) / sqrt(variance)) if variance > 0 else 0.0


def _ranks(values: Floats) -> tuple[Floats, Floats]:
    """Ranks from 1, those of equal values averaged; and how many are equal at each value."""
    _, place, ties = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(ties)
    return (last - (ties - 1) / 2)[place], ties.astype(float)
