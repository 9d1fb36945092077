"""From counts to e-values: how much the data speak against "no worse", and against "worse".

Relative evidence conditions on bad events: given that one happened, the chance that it fell on the canary is
known if both arms are alike, whatever the load does over time. With share ``w`` of the requests on the canary and
``r`` times the reference's rate of the event, that chance is ``w*r / (1 - w + w*r)``. The likelihood ratio of any
larger ``r`` against the margin's is a supermartingale for every canary within the margin (monotone likelihood ratio),
and so is a mixture of such ratios: by Ville's inequality it reaches ``1/alpha`` with probability at most ``alpha``,
however often one looks. The same the other way round gives evidence for promotion.
Margins are odds, since three times a rate of 50 % cannot be: ``r = odds / (1 - p + p*odds)`` with the reference's rate
``p``. A canary that is alike has ``r = 1`` whatever ``p`` is, so an inexact ``p`` cannot roll it back.
Source: Lindon & Malek 2022 (multinomial e-processes); Ville 1939; one-sided form and margin as in docs/judge.md.

Absolute evidence is the same for a single Bernoulli rate against a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log

# Alternatives of the mixtures: log odds ratios 0.2 to 4 beyond the margin (odds 1.2 to 55 times), evenly weighted.
# Wide enough for a dead canary, dense enough that none between is missed by more than a factor of the mixture.
_ALTERNATIVES = tuple(0.2 * i for i in range(1, 21))

# Alternatives of an absolute rate: multiples of the distance between the bound and certainty, or zero.
_RATE_FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95)

_LOG_E_MAX = 700.0
"""Just below where a float overflows: looks are kept as JSON, which knows no infinity."""


@dataclass(frozen=True)
class Boundary:
    """A log odds ratio, and the side of it on which the alternatives lie."""

    log_odds: float
    direction: int
    """+1: alternatives are worse than the boundary; -1: better."""


def worse_than(margin_odds: float) -> Boundary:
    """For evidence against "the canary's odds are at most ``margin_odds`` times the reference's"."""
    return Boundary(log(margin_odds), +1)


def better_than(harm_odds: float) -> Boundary:
    """For evidence against "the canary's odds are at least ``harm_odds`` times the reference's"."""
    return Boundary(log(harm_odds), -1)


@dataclass(frozen=True)
class Profile:
    """Log-likelihood ratio of each alternative against a boundary, and the history in three numbers for people."""

    points: tuple[float, ...] = (0.0,) * len(_ALTERNATIVES)
    canary: int = 0
    total: int = 0
    expected: float = 0.0
    """Of ``total`` bad events, how many would fall on the canary if the arms were alike."""

    @property
    def e_value(self) -> float:
        return _mean_exp(self.points) if self.total else 1.0


@dataclass(frozen=True)
class Fallen:
    """Bad events of one kind in one cell, by arm, and the canary's share (0 to 1) of what could have gone wrong."""

    canary: int
    reference: int
    share: float
    rate: float = 0.0
    """The reference's rate of the event as it was known before these fell, 0 to below 1. At 0 odds are rates."""


def observe(profile: Profile, boundary: Boundary, fallen: Fallen) -> Profile:
    """The profile after more bad events."""
    total = fallen.canary + fallen.reference
    if total == 0:
        return profile
    share, rate = fallen.share, fallen.rate
    ratios = [_ratio_of_rates(exp(boundary.log_odds), rate)]
    ratios += [_ratio_of_rates(exp(boundary.log_odds + boundary.direction * d), rate) for d in _ALTERNATIVES]
    # Per event on the canary and on the reference, up to a constant that cancels against the boundary's.
    on_canary = [log(ratio) for ratio in ratios]
    either = [log(1 - share + share * ratio) for ratio in ratios]
    points = [
        point + fallen.canary * (on_canary[i] - on_canary[0]) - total * (either[i] - either[0])
        for i, point in enumerate(profile.points, start=1)
    ]
    return Profile(
        tuple(points), profile.canary + fallen.canary, profile.total + total, profile.expected + total * share
    )


def _ratio_of_rates(odds: float, rate: float) -> float:
    return odds / (1 - rate + rate * odds)


def e_rate_above(bound: float, *, bad: int, total: int) -> float:
    """Evidence against "the rate is at most ``bound``", from ``bad`` of ``total`` independent outcomes."""
    return _e_rate(bound, [bound + f * (1 - bound) for f in _RATE_FRACTIONS], bad, total)


def e_rate_below(bound: float, *, bad: int, total: int) -> float:
    """Evidence against "the rate is at least ``bound``"."""
    return _e_rate(bound, [0.0, *(f * bound for f in _RATE_FRACTIONS)], bad, total)


def _e_rate(bound: float, alternatives: Sequence[float], bad: int, total: int) -> float:
    good = total - bad
    return _mean_exp(
        [
            (bad * log(rate / bound) if rate else (-inf if bad else 0.0)) + good * log((1 - rate) / (1 - bound))
            for rate in alternatives
        ]
    )


def _mean_exp(logs: Sequence[float]) -> float:
    top = max(logs)
    if top == -inf:
        return 0.0
    mean = top + log(sum(exp(value - top) for value in logs) / len(logs))
    return exp(min(mean, _LOG_E_MAX))
