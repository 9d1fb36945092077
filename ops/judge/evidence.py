"""From counts to e-values: how much the data speak against "no worse", and against "worse".

Relative evidence conditions on what happened: given that a request showed something (failed; was answered on a certain
level of slowness), the chance that it was the canary's is known if both arms are alike, whatever the load does over
time. With share ``w`` of the requests on the canary, and ``r`` times the reference's rate of showing it, that chance is
``w*r / (1 - w + w*r)``. The likelihood ratio of a worse canary against one at the margin is a supermartingale for every
canary that is alike or better, and so is a mixture of such ratios: by Ville's inequality it reaches ``1/alpha`` with
probability at most ``alpha``, however often one looks. The same the other way round gives evidence for promotion.

Margins and alternatives of yes/no events are odds ratios, since three times a rate of 50 % cannot be. Those of graded
events say how many times as slow (as long) the canary is; how much that raises the odds of passing a cut follows from
how far apart the cuts lie (``steepness``). Which ``r`` follows from an odds ratio depends on the reference's rate,
taken from earlier looks. A canary that is alike has ``r = 1`` whatever rate and steepness are, so an inexact estimate
cannot roll it back.
Source: Lindon & Malek 2022 (multinomial e-processes); Ville 1939; the rest as in docs/judge.md.

Absolute evidence is the same for a single Bernoulli rate against a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from math import log

import msgspec
import numpy as np

from ops.judge.grading import Floats, Graded, Logs, level_gains, odds_of

_ODDS_BEYOND_MARGIN = (0.25, 0.5, 0.9, 1.4, 2.0, 2.8, 3.8, 5.0)
"""Alternatives against "no worse" for a yes/no event: log odds ratios beyond the margin, of 1.3 to 150 times its odds.
Wide enough for a dead canary, dense enough that none between costs more than the mixture's factor."""
_TIMES_BEYOND_MARGIN = (0.06, 0.12, 0.22, 0.36, 0.55, 0.9, 1.5)
"""The same for a graded event: logarithms of how many times the margin's slowness, from 1.06 to 4.5."""
_BELOW_HARM = (0.4, 0.7, 1.0, 1.3, 1.8, 2.6)
"""Alternatives against "harmful": how far below the harm, as multiples of its logarithm. 1 is a canary alike."""
_STEEPNESS_MIN, _STEEPNESS_MAX = 0.5, 100.0
"""Values that spread over orders of magnitude, and values that hardly spread at all."""
_RATE_FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
"""Alternatives of an absolute rate: multiples of the distance between the bound and certainty, or zero."""
_FRACTIONS = np.array(_RATE_FRACTIONS)
_NO_POINTS = (0.0,) * len(_RATE_FRACTIONS)
RATE_ALTERNATIVES = len(_RATE_FRACTIONS)
_SHIFT_WEIGHT = 0.5
"""Of a graded event's mixture: what is spent on "all answers are slower"; the rest on "more of them pass this cut"."""

_LOG_E_MAX = 700.0
"""Just below where a float overflows: looks are kept as JSON, which knows no infinity."""


@dataclass(frozen=True)
class Boundary:
    """How much worse, as a logarithm, and the side of it on which the alternatives lie."""

    at: float
    """Of the odds ratio of a yes/no event; of the ratio of the values (seconds, tokens) of a graded one."""
    direction: int
    """+1: alternatives are higher than the boundary; -1: lower."""
    offsets: tuple[float, ...]
    """The alternatives' distances from the boundary, positive."""

    @cached_property
    def logs(self) -> Floats:
        """The boundary, then the alternatives."""
        return self.at + self.direction * np.array((0.0, *self.offsets))

    @property
    def apart(self) -> bool:
        """Whether the boundary lies between a canary alike and the alternatives."""
        return self.at * self.direction > 0


@lru_cache(256)
def worse_than(margin: float, graded: bool, side: int = 1) -> Boundary:
    """For evidence against "the canary has at most ``margin`` times the reference's odds, or values of graded events".

    ``side`` -1: against "at least 1 / ``margin`` times", for events that count in both directions.
    """
    return Boundary(side * log(margin), side, _TIMES_BEYOND_MARGIN if graded else _ODDS_BEYOND_MARGIN)


@lru_cache(256)
def better_than(harm: float, side: int = 1) -> Boundary:
    """For evidence against "the canary has at least ``harm`` times the reference's odds or values" (or its mirror)."""
    return Boundary(side * log(harm), -side, tuple(part * log(harm) for part in _BELOW_HARM))


@lru_cache(4096)
def steepness(cuts: tuple[float, ...], quantiles: tuple[float, ...]) -> float:
    """How many times the logarithm of a ratio of values is that of the odds of passing a cut: the shape of the
    log-logistic distribution that fits the cuts best (least squares). With one cut nothing is known: 1."""
    if len(cuts) < 2:
        return 1.0
    x, y = np.log(cuts), np.log(quantiles) - np.log1p(-np.array(quantiles))
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    return min(max(slope, _STEEPNESS_MIN), _STEEPNESS_MAX)


class Profile(msgspec.Struct, frozen=True, gc=False):
    """Log-likelihood ratio of each alternative against a boundary, and the history in a few numbers for people."""

    points: tuple[float, ...] = ()
    canary: tuple[int, ...] = ()
    """What fell on the canary: of a yes/no event one number, of a graded one a number per level."""
    total: tuple[int, ...] = ()
    expected: tuple[float, ...] = ()
    """Of ``total``, how many would fall on the canary if the arms were alike."""


def e_value(profile: Profile, levels: int) -> float:
    """The mixture's e-value; ``levels`` is 1 for a yes/no event. Nothing seen: 1."""
    if not any(profile.total):
        return 1.0
    return float(mixed(np.array([profile.points]), log_weights(levels, len(profile.points)))[0])


@dataclass(frozen=True)
class Fallen:
    """What happened in one cell since the last look."""

    canary: tuple[int, ...]
    """Per level, or a single number of a yes/no event."""
    reference: tuple[int, ...]
    share: float
    """The canary's, 0 to 1, of the requests that could show it."""
    rates: tuple[float, ...]
    """The reference's rate of passing each cut (falling), or of the yes/no event: as known before these fell."""
    steepness: float = 1.0
    """Of a graded event: see above."""


def gains(boundary: Boundary, fallen: Sequence[Fallen]) -> Floats:
    """What each cell adds to the log-likelihood ratio of each alternative: cells x alternatives.

    All cells are of one event, so of equal shape.
    """
    canary = np.array([cell.canary for cell in fallen], dtype=float)  # cells x levels
    total = canary + np.array([cell.reference for cell in fallen], dtype=float)
    share = np.array([cell.share for cell in fallen])
    rates = np.array([cell.rates for cell in fallen])  # cells x cuts
    if canary.shape[1] > 1:
        logs = Logs(np.repeat(boundary.logs[:, None], len(fallen), axis=1), boundary.apart)
        at = odds_of([logs], np.array([cell.steepness for cell in fallen]))
        found: Floats = level_gains(at, Graded(canary.T, total.T, share, rates.T), np.eye(len(fallen)))[0][0]
        return found
    return yes_no_gains(np.exp(np.tile(boundary.logs, (len(fallen), 1))), canary, total, share[:, None], rates)


def yes_no_gains(odds: Floats, canary: Floats, total: Floats, share: Floats, rates: Floats) -> Floats:
    """The same for cells of several yes/no events. ``odds``: cells x odds ratios of (the boundary, then alternatives);
    the others are columns."""
    ratios = odds / (1 - rates + rates * odds)  # how many times the reference's rate the canary has
    gained = canary * np.log(ratios) - total * np.log1p(share * (ratios - 1))
    found: Floats = gained[:, 1:] - gained[:, :1]
    return found


def grown(profile: Profile, gained: Floats, fallen: Sequence[Fallen]) -> Profile:
    """The profile after more happened in these cells."""
    levels = len(fallen[0].canary)
    if not profile.points:
        profile = Profile((0.0,) * gained.shape[1], *((0,) * levels,) * 2, (0.0,) * levels)
    canary, total, expected = list(profile.canary), list(profile.total), list(profile.expected)
    for cell in fallen:
        for level in range(levels):
            both = cell.canary[level] + cell.reference[level]
            canary[level] += cell.canary[level]
            total[level] += both
            expected[level] += both * cell.share
    points = np.asarray(profile.points) + gained.sum(axis=0)
    return Profile(tuple(points.tolist()), tuple(canary), tuple(total), tuple(expected))


@lru_cache(64)
def log_weights(levels: int, alternatives: int) -> Floats:
    """The mixture's, as logarithms; ``levels`` is 1 for a yes/no event."""
    if levels == 1:
        return np.full(alternatives, -log(alternatives))
    each = alternatives // levels  # levels - 1 cuts and the shift, as many alternatives of each
    cuts = np.full((levels - 1) * each, log((1 - _SHIFT_WEIGHT) / ((levels - 1) * each)))
    return np.concatenate([cuts, np.full(each, log(_SHIFT_WEIGHT / each))])


def mixed(logs: Floats, weights: Floats) -> Floats:
    """Row by row, the weighted mean of what ``logs`` are the logarithms of, kept below where a float overflows.

    ``logs``: rows x alternatives; ``weights``: the alternatives' logarithms. Gives rows.
    """
    weighted = logs + weights
    most = weighted.max(axis=1)
    means = most + np.log(np.exp(weighted - most[:, None]).sum(axis=1))
    found: Floats = np.exp(np.minimum(means, _LOG_E_MAX))
    return found


def mixed_each(parts: Sequence[tuple[Floats, int]]) -> list[Floats]:
    """``mixed`` of several, each rows x alternatives with its number of levels, as one array."""
    shapes = tuple((*points.shape, levels) for points, levels in parts)
    weights, ends = _weights_each(shapes)
    logs = np.zeros(weights.shape)
    for (points, _), (first, end) in zip(parts, pairwise(ends), strict=True):
        logs[first:end, : points.shape[1]] = points
    e = mixed(logs, weights)
    return [e[first:end] for first, end in pairwise(ends)]


@lru_cache(64)
def _weights_each(shapes: tuple[tuple[int, int, int], ...]) -> tuple[Floats, tuple[int, ...]]:
    """Of all rows; what a row does not have weighs nothing. And where each part's rows begin, and the last's end."""
    ends = tuple(accumulate((rows for rows, _, _ in shapes), initial=0))
    weights = np.full((ends[-1], max(alternatives for _, alternatives, _ in shapes)), -np.inf)
    for (_, alternatives, levels), (first, end) in zip(shapes, pairwise(ends), strict=True):
        if alternatives:
            weights[first:end, :alternatives] = log_weights(levels, alternatives)
    return weights, ends


# --- One rate against a bound -----------------------------------------------------------------------------------


def rates_above(bounds: Floats) -> Floats:
    """The alternatives to "at most the bound": bounds x alternatives. ``bounds``: a column."""
    found: Floats = bounds + _FRACTIONS * (1 - bounds)
    return found


def rates_below(bounds: Floats) -> Floats:
    """The alternatives to "at least the bound"."""
    found: Floats = np.concatenate([np.zeros_like(bounds), _FRACTIONS * bounds], axis=1)
    return found


def above_bound(points: Sequence[float], bound: float, *, bad: int, total: int) -> tuple[float, ...]:
    """Log-likelihood ratios against "the rate is at most ``bound``" after ``bad`` more of ``total`` more outcomes.

    ``points`` is empty at first. The bound may differ from call to call, as long as it does not depend on the outcomes.
    """
    before = np.array([points or _NO_POINTS])
    found = above_bounds(before, np.array([bound]), bad=np.array([bad]), total=np.array([total]))
    return tuple(found[0].tolist())


def above_bounds(points: Floats, bounds: Floats, *, bad: Floats, total: Floats) -> Floats:
    """The same for several events at once. ``points``, and what comes of them: events x alternatives."""
    bound, fell = bounds[:, None], bad[:, None]
    rates = rates_above(bound)
    found: Floats = points + fell * np.log(rates / bound) + (total[:, None] - fell) * np.log((1 - rates) / (1 - bound))
    return found


def e_of_rate(points: Sequence[float]) -> float:
    """The e-value of ``above_bound``'s points; 1 if there are none."""
    return float(e_of_points(np.array([points or _NO_POINTS]))[0])


def e_of_points(points: Floats) -> Floats:
    """Of rates against bounds: rows x alternatives."""
    return mixed(points, log_weights(1, points.shape[1]))


def e_rate_below(bound: float, *, bad: int, total: int) -> float:
    """Evidence against "the rate is at least ``bound``", from ``bad`` of ``total`` independent outcomes."""
    return float(e_of_points(logs_below((bound,), bad=[bad], total=[total]))[0])


def logs_below(bounds: tuple[float, ...], *, bad: Sequence[float], total: Sequence[float]) -> Floats:
    """Log-likelihood ratios against "the rate is at least the bound" of several events: events x alternatives."""
    of_one_bad, of_one_good = _logs_below(bounds)
    fell = np.array(bad, dtype=float)[:, None]
    of_bad = np.where(fell > 0, np.maximum(fell, 1) * of_one_bad, 0.0)
    found: Floats = of_bad + (np.array(total)[:, None] - fell) * of_one_good
    return found


@lru_cache(64)
def _logs_below(bounds: tuple[float, ...]) -> tuple[Floats, Floats]:
    """What one bad and one good outcome add to each alternative's log-likelihood ratio: bounds x alternatives."""
    bound = np.array(bounds)[:, None]
    rates = rates_below(bound)
    with np.errstate(divide="ignore"):
        return np.log(rates / bound), np.log((1 - rates) / (1 - bound))
