"""What answers on levels say of "so many times as slow": log-likelihood ratios, for many cells and events at once.

Looks are frequent and a tier has dozens of cells times events, so all of them are one array: a place is one cell of
one event. Places come last in every array, so that numpy's inner loops are long. The shapes of how a canary may differ
are, for each cut, "the odds of passing it alone are so many times the reference's", and last "those of passing every
cut are" (proportional odds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LOG_ODDS_MAX = 15.0
"""Beyond this no count that fits a rollout tells two odds apart."""


@dataclass(frozen=True)
class Graded:
    """What happened since the last look."""

    canary: Floats
    """Requests per level, the lowest first: levels x places."""
    total: Floats
    """The same of both arms."""
    share: Floats
    """The canary's, 0 to 1, of the requests that could show the event: places."""
    rates: Floats
    """The reference's of passing each cut, strictly falling within (0, 1): cuts x places."""


@dataclass(frozen=True)
class Logs:
    """Logarithms of times as slow: a boundary's, then its alternatives'."""

    values: Floats
    """(1 + alternatives) x places."""
    apart: bool
    """For evidence against a canary: where the boundary makes a level more frequent, an alternative may not make it
    rarer than the boundary does, nor the other way round. Then no factor of a canary that is alike exceeds 1 on average
    on any level, however load has moved all requests between levels since the rates were taken."""


@dataclass(frozen=True)
class Odds:
    """What boundaries mean where cuts are so steep: does not change from look to look."""

    log_odds: Floats
    """All boundaries' logs, one boundary after the other: logs x places, as all below."""
    odds: Floats
    beyond: Floats
    """The odds less 1."""
    spans: tuple[tuple[int, int, bool], ...]
    """By boundary: its first log and the one after its last, and whether it keeps apart."""


def odds_of(boundaries: Sequence[Logs], steepness: Floats) -> Odds:
    """``steepness``: of each place."""
    logs = np.concatenate([boundary.values for boundary in boundaries])
    log_odds = np.clip(steepness * logs, -_LOG_ODDS_MAX, _LOG_ODDS_MAX)
    odds = np.exp(log_odds)
    ends = accumulate((len(boundary.values) for boundary in boundaries), initial=0)
    spans = tuple((*span, one.apart) for span, one in zip(pairwise(ends), boundaries, strict=True))
    return Odds(log_odds, odds, odds - 1, spans)


def level_gains(at: Odds, seen: Graded, members: Floats) -> list[Floats]:
    """What each group of places adds to the log-likelihood ratio of each alternative, by boundary.

    ``members``: cells x groups, 0 or 1; places are, event by event, the cells. Each: events x groups x (shapes x
    alternatives). See ``_level_ratios`` for how odds move the levels.

    With the reference's odds of passing a cut multiplied by ``o``, and ``d = 1 - rate + rate * o``, its rate is
    multiplied by ``o / d``, that of not passing by ``1 / d``, and of falling between two cuts by ``o / (d d')``.
    """
    d = seen.rates[:, None] * at.beyond  # cuts x logs x places, as all below
    d += 1
    log_d = np.log(d)
    of_cuts = _of_cuts(at, d, log_d, seen)
    ratios = _level_ratios(at.log_odds, log_d)
    for first, end, apart in at.spans:
        if apart:
            _keep_apart(ratios[:, first:end])
    cells, groups = members.shape
    sums = np.concatenate([part.reshape(-1, cells) @ members for part in (of_cuts, _of_shift(ratios, seen))])
    of_shapes = sums.reshape(len(d) + 1, len(at.odds), -1, groups).transpose(2, 3, 0, 1)
    return [
        (of_shapes[..., first + 1 : end] - of_shapes[..., first : first + 1]).reshape(len(of_shapes), groups, -1)
        for first, end, _ in at.spans
    ]


def _of_cuts(at: Odds, d: Floats, log_d: Floats, seen: Graded) -> Floats:
    """Log-likelihoods where the odds of passing one cut alone differ, less those of a canary that is alike.

    With how many passed: ``canary * log_odds + reference's total * log_d - either * log_above - others * log_below``.
    Overwrites ``d``: arrays are many, and each new one costs as much as what is done to it.
    """
    past, past_either = _past(seen.canary), _past(seen.total)
    both = seen.total.sum(axis=0)
    d *= 1 - seen.share
    log_above, log_below = d + seen.share * at.odds, d + seen.share
    found: Floats = past * at.log_odds
    found += np.multiply(both - seen.canary.sum(axis=0), log_d, out=d)
    for either, log in ((past_either, log_above), (both - past_either, log_below)):
        np.log(log, out=log)
        log *= either
        found -= log
    return found


def _level_ratios(log_odds: Floats, log_d: Floats) -> Floats:
    """By how much more often each level is fallen on where all odds differ: logarithms, levels x logs x places."""
    ratios = np.empty((len(log_d) + 1, *log_d.shape[1:]))
    np.negative(log_d[0], out=ratios[0])
    np.subtract(log_odds, log_d, out=ratios[1:])
    ratios[1:-1] -= log_d[1:]
    return ratios


def _keep_apart(ratios: Floats) -> None:
    at = ratios[:, :1].copy()
    np.clip(ratios, np.where(at > 0, at, -np.inf), np.where(at < 0, at, np.inf), out=ratios)


def _of_shift(ratios: Floats, seen: Graded) -> Floats:
    """Log-likelihoods where all odds differ: logs x places."""
    either = np.exp(ratios)
    either *= seen.share
    either += 1 - seen.share
    np.log(either, out=either)
    either *= seen.total[:, None]
    np.subtract(seen.canary[:, None] * ratios, either, out=either)
    found: Floats = either.sum(axis=0)
    return found


def _past(counts: Floats) -> Floats:
    """Requests past each cut: cuts x 1 x places."""
    return counts[::-1].cumsum(axis=0)[-2::-1, None]
