"""How much two arms of one release differ beyond chance: replica noise, estimated by maximum likelihood.

Each replica's times are those of its release times ``exp(mood)``, where the mood is a stationary AR(1) process
(Ornstein-Uhlenbeck) with standard deviation ``sigma`` and memory ``seconds``. In a block of time the score of a
proportional-odds model (what the judge's own shift test is built on) tells by how much, as a logarithm, the canary's
values lay above the reference's, and its information tells the chance in that figure. What the blocks of a rollout
differ by beyond their chance, and for how long it lasts, is the noise. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.contract import BadEvent

Floats = NDArray[np.float64]

SIGMAS = tuple(round(0.02 * i, 2) for i in range(31))
"""Where the likelihood is asked: 0 to 0.6, beyond which no margin helps."""
MEMORIES_SECONDS = (30.0, 60.0, 120.0, 240.0, 480.0, 1920.0)
_DROP_90 = 1.353
"""Of the log-likelihood at the ends of a 90 % interval: half of chi-squared's 0.9 quantile with one degree."""
_OWN_SIGMA = 0.1
"""Of the logarithm of how many times as slow a promoted release is itself: most were meant to change nothing, and all
were shown to be far from harmful."""
_INFORMATION_MIN = 3.0
"""A block that tells less is left out: its figure is hardly normal."""


@dataclass(frozen=True)
class Block:
    at: float
    """Its middle, seconds."""
    difference: float
    """Logarithm of how many times as slow the canary was."""
    information: float
    """One over the variance that chance alone gives ``difference``."""


@dataclass(frozen=True)
class Series:
    """Two arms of one release beside each other, through one step of a rollout."""

    rollout: str
    event: BadEvent
    blocks: tuple[Block, ...]
    block_seconds: float
    replicas: float
    """1 / replicas of the one arm + 1 / replicas of the other: of how many moods the difference is made."""
    same: bool
    """Whether both arms ran the same release; if not, the canary's was promoted, and may differ by a constant."""


@dataclass(frozen=True)
class Noise:
    sigma: float
    """Of the logarithm of one replica's values."""
    sigma_low: float
    """The ends of its 90 % interval."""
    sigma_high: float
    seconds: float
    """The memory at which the likelihood is highest; means little where ``sigma`` is near 0."""
    blocks: int
    rollouts: int


@dataclass(frozen=True)
class Graded:
    """What two arms showed of a graded event in one cell within a block."""

    canary: tuple[int, ...]
    """Per level."""
    reference: tuple[int, ...]
    steepness: float


def block(at: float, cells: Iterable[Graded]) -> Block | None:
    """None where too little was answered to tell anything."""
    score = information = 0.0
    for cell in cells:
        canary, reference = np.asarray(cell.canary, dtype=float), np.asarray(cell.reference, dtype=float)
        both = canary + reference
        n, total = canary.sum(), both.sum()
        if not 0 < n < total:
            continue
        below = np.cumsum(both) / total
        scores = below + np.concatenate(([0.0], below[:-1])) - 1  # of proportional odds; they sum to 0 over both
        spread = float(scores**2 @ both) / (total - 1)
        score += cell.steepness * float(scores @ canary)
        information += cell.steepness**2 * float(n * (total - n) / total) * spread
    return Block(at, score / information, information) if information >= _INFORMATION_MIN else None


def estimate(series: Sequence[Series]) -> Noise | None:
    """None without blocks. All of ``series`` are of one event."""
    series = [one for one in series if one.blocks]
    if not series:
        return None
    likelihoods = [_likelihood(one) for one in series]
    table = np.array(
        [[sum(of(sigma, memory) for of in likelihoods) for memory in MEMORIES_SECONDS] for sigma in SIGMAS]
    )
    best = table.max()
    at, memory = np.unravel_index(int(table.argmax()), table.shape)
    inside = np.flatnonzero(table.max(axis=1) >= best - _DROP_90)
    return Noise(
        sigma=SIGMAS[int(at)],
        sigma_low=SIGMAS[max(int(inside[0]) - 1, 0)],
        sigma_high=SIGMAS[min(int(inside[-1]) + 1, len(SIGMAS) - 1)],
        seconds=MEMORIES_SECONDS[int(memory)],
        blocks=sum(len(one.blocks) for one in series),
        rollouts=len({one.rollout for one in series}),
    )


def _likelihood(one: Series) -> Callable[[float, float], float]:
    """The log-likelihood of a series, by sigma and memory."""
    values = np.array([block.difference for block in one.blocks])
    chance = np.diag([1 / block.information for block in one.blocks])
    if not one.same:
        chance = chance + _OWN_SIGMA**2
    at = np.array([block.at for block in one.blocks])
    apart = np.abs(at[:, None] - at[None, :])
    correlations = {memory: _correlation(apart, one.block_seconds, memory) for memory in MEMORIES_SECONDS}

    def of(sigma: float, memory: float) -> float:
        spread = one.replicas * sigma**2 * correlations[memory] + chance
        return _normal(values, spread)

    return of


def _correlation(apart: Floats, block_seconds: float, memory: float) -> Floats:
    """Of the means of a process over blocks so many seconds apart."""
    x = block_seconds / memory
    within = 2 * (x - 1 + np.exp(-x)) / x**2
    between = np.exp(-apart / memory) * 2 * (np.cosh(x) - 1) / x**2
    found: Floats = np.where(apart < block_seconds / 2, within, between)
    return found


def _normal(values: Floats, spread: Floats) -> float:
    """Log-density of a normal with mean 0, up to a constant."""
    lower = np.linalg.cholesky(spread)
    white = np.linalg.solve(lower, values)
    return -float(np.log(np.diag(lower)).sum()) - float(white @ white) / 2
