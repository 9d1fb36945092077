"""What answers on levels say of "so many times as slow": log-likelihood ratios, for many cells and events at once.

Looks are frequent and a tier has dozens of cells times events, so all of them are one array: a place is one cell of
one event. Places come last in every array, so that numpy's inner loops are long. The shapes of how a canary may differ
are, for each cut, "the odds of passing it alone are so many times the reference's", and last "those of passing every
cut are" (proportional odds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    steepness: Floats
    """Places."""


@dataclass(frozen=True)
class Logs:
    """Logarithms of times as slow: a boundary's, then its alternatives'."""

    values: Floats
    """(1 + alternatives) x places."""
    apart: bool
    """For evidence against a canary: where the boundary makes a level more frequent, an alternative may not make it
    rarer than the boundary does, nor the other way round. Then no factor of a canary that is alike exceeds 1 on average
    on any level, however load has moved all requests between levels since the rates were taken."""


def level_gains(boundaries: Sequence[Logs], seen: Graded) -> list[Floats]:
    """What each place adds to the log-likelihood ratio of each alternative: by boundary, shapes x alternatives x places.

    With the reference's odds of passing a cut multiplied by ``o``, and ``d = 1 - rate + rate * o``, its rate is
    multiplied by ``o / d``, that of not passing by ``1 / d``, and of falling between two cuts by ``o / (d d')``.
    """
    logs = np.concatenate([boundary.values for boundary in boundaries])
    log_odds = np.clip(seen.steepness * logs, -_LOG_ODDS_MAX, _LOG_ODDS_MAX)
    odds = np.exp(log_odds)
    d = 1 + seen.rates[:, None] * (odds - 1)  # cuts x logs x places, as all below
    log_d = np.log(d)
    of_cuts = _of_cuts(log_odds, odds, d, log_d, seen)
    ratios = _level_ratios(log_odds, log_d)
    found, first = [], 0
    for boundary in boundaries:
        end = first + len(boundary.values)
        if boundary.apart:
            _keep_apart(ratios[:, first:end])
        first = end
    of_shift = _of_shift(ratios, seen)
    first = 0
    for boundary in boundaries:
        end = first + len(boundary.values)
        gained = np.empty((len(of_cuts) + 1, end - first - 1, logs.shape[1]))
        np.subtract(of_cuts[:, first + 1 : end], of_cuts[:, first : first + 1], out=gained[:-1])
        np.subtract(of_shift[first + 1 : end], of_shift[first], out=gained[-1])
        found.append(gained)
        first = end
    return found


def _of_cuts(log_odds: Floats, odds: Floats, d: Floats, log_d: Floats, seen: Graded) -> Floats:
    """Log-likelihoods where the odds of passing one cut alone differ, less those of a canary that is alike."""
    past, past_either = _past(seen.canary), _past(seen.total)
    both = seen.total.sum(axis=0)
    on_reference = both - seen.canary.sum(axis=0)
    kept = d * (1 - seen.share)
    log_above, log_below = np.log(kept + seen.share * odds), np.log(kept + seen.share)
    found: Floats = past * log_odds + on_reference * log_d - past_either * log_above - (both - past_either) * log_below
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
    np.maximum(ratios, np.where(at > 0, at, -np.inf), out=ratios)
    np.minimum(ratios, np.where(at < 0, at, np.inf), out=ratios)


def _of_shift(ratios: Floats, seen: Graded) -> Floats:
    either = np.log(1 - seen.share + seen.share * np.exp(ratios))
    found: Floats = (seen.canary[:, None] * ratios - seen.total[:, None] * either).sum(axis=0)
    return found


def _past(counts: Floats) -> Floats:
    """Requests past each cut: cuts x 1 x places."""
    return counts[::-1].cumsum(axis=0)[-2::-1, None]
