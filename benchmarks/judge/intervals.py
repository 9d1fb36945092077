"""How sure a rate is that was counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, lgamma, log

_HALVINGS = 50


def clopper_pearson(hits: int, total: int, outside: float = 0.05) -> tuple[float, float]:
    """The exact interval of a rate of which ``hits`` in ``total`` were counted: it misses with at most ``outside``."""
    low = 0.0 if hits == 0 else _solved(lambda rate: _at_least(hits, total, rate) >= outside / 2)
    high = 1.0 if hits == total else _solved(lambda rate: 1 - _at_least(hits + 1, total, rate) < outside / 2)
    return low, high


def _solved(beyond: Callable[[float], bool]) -> float:
    """The lowest rate for which ``beyond`` is true; it is monotone."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high


def _at_least(hits: int, total: int, rate: float) -> float:
    if rate <= 0 or rate >= 1:
        return float(rate >= 1)
    return sum(
        exp(lgamma(total + 1) - lgamma(i + 1) - lgamma(total - i + 1) + i * log(rate) + (total - i) * log(1 - rate))
        for i in range(hits, total + 1)
    )


def quantile(values: Sequence[float], fraction: float) -> float | None:
    """The smallest value that at least ``fraction`` of them do not exceed; None of nothing."""
    ranked = sorted(values)
    return ranked[max(0, -(-int(fraction * 1000 * len(ranked)) // 1000) - 1)] if ranked else None
