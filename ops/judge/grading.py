"""What answers on levels say of "so many times as slow": log-likelihood ratios, for many cells and events at once.

Looks are frequent and a tier has dozens of cells times events, so all of them are one array: a row is one cell of one
event. The shapes of how a canary may differ are, for each cut, "the odds of passing it alone are so many times the
reference's", and last "those of passing every cut are" (proportional odds).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LOG_ODDS_MAX = 15.0
"""Beyond this no count that fits a rollout tells two odds apart."""


@dataclass(frozen=True)
class Graded:
    """What happened since the last look; arrays with one row each."""

    canary: Floats
    """Requests per level, the lowest first: rows x levels."""
    total: Floats
    """The same of both arms."""
    share: Floats
    """The canary's, 0 to 1, of the requests that could show the event: rows."""
    rates: Floats
    """The reference's of passing each cut, strictly falling within (0, 1): rows x cuts."""
    steepness: Floats
    """Rows."""

    def rows(self, places: NDArray[np.int64]) -> Graded:
        arrays = (self.canary, self.total, self.share, self.rates, self.steepness)
        return Graded(*(array[places] for array in arrays))


def level_gains(logs: Floats, seen: Graded, *, apart: bool) -> Floats:
    """What each row adds to the log-likelihood ratio of each alternative: rows x shapes x alternatives.

    ``logs``: logarithms of times as slow, rows x (1 + alternatives), the boundary's first. With the reference's odds of
    passing a cut multiplied by ``o``, and ``d = 1 - rate + rate * o``, its rate is multiplied by ``o / d``, that of not
    passing by ``1 / d``, and of falling between two cuts by ``o / (d d')``.

    ``apart`` (for evidence against a canary): where the boundary makes a level more frequent, an alternative may not
    make it rarer than the boundary does, nor the other way round. Then no factor of a canary that is alike exceeds 1 on
    average on any level, however load has moved all requests between levels since the rates were taken.
    """
    log_odds = np.clip(seen.steepness[:, None] * logs, -_LOG_ODDS_MAX, _LOG_ODDS_MAX)[:, :, None]
    odds, share = np.exp(log_odds), seen.share[:, None, None]
    d = 1 + seen.rates[:, None, :] * (odds - 1)  # rows x alternatives x cuts
    log_d = np.log(d)
    d *= 1 - share
    log_above, log_below = np.log(d + share * odds), np.log(d + share)
    past = _past(seen.canary)
    past_either = _past(seen.total)
    both = seen.total.sum(axis=1)[:, None, None]
    on_reference = both - seen.canary.sum(axis=1)[:, None, None]
    of_cuts = past * log_odds + on_reference * log_d - past_either * log_above - (both - past_either) * log_below
    ratios = np.empty((*log_d.shape[:2], log_d.shape[2] + 1))  # logarithms, by level
    ratios[..., 0] = -log_d[..., 0]
    ratios[..., 1:] = log_odds - log_d
    ratios[..., 1:-1] -= log_d[..., 1:]
    if apart:
        at = ratios[:, :1]
        ratios = np.where(at > 0, np.maximum(ratios, at), np.where(at < 0, np.minimum(ratios, at), ratios))
    either = np.log(1 - share + share * np.exp(ratios))
    of_shift = (seen.canary[:, None, :] * ratios - seen.total[:, None, :] * either).sum(axis=2)
    found = np.empty((len(logs), of_cuts.shape[2] + 1, logs.shape[1] - 1))
    found[:, :-1] = (of_cuts[:, 1:] - of_cuts[:, :1]).transpose(0, 2, 1)
    found[:, -1] = of_shift[:, 1:] - of_shift[:, :1]
    return found


def _past(counts: Floats) -> Floats:
    """Requests past each cut: rows x 1 x cuts."""
    return counts[:, ::-1].cumsum(axis=1)[:, -2::-1][:, None, :]
