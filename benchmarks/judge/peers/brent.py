"""Brent's root of a function of one variable, as R's ``zeroin`` has it (Brent 1973, chapter 4)."""

from __future__ import annotations

from collections.abc import Callable

_EPSILON = 2.220446049250313e-16
_STEPS_MAX = 1000


def root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """A root between ``low`` and ``high``, at which the function's signs differ."""
    a, b = low, high
    at_a, at_b = function(a), function(b)
    if at_a == 0:
        return a
    c, at_c = a, at_a
    for _ in range(_STEPS_MAX):
        before = b - a
        if abs(at_c) < abs(at_b):
            a, b, c = b, c, b
            at_a, at_b, at_c = at_b, at_c, at_b
        least = 2 * _EPSILON * abs(b) + tolerance / 2
        step = (c - b) / 2
        if abs(step) <= least or at_b == 0:
            return b
        if abs(before) >= least and abs(at_a) > abs(at_b):
            step = _interpolated(a, b, c, at_a, at_b, at_c, before, least, step)
        if abs(step) < least:
            step = least if step > 0 else -least
        a, at_a = b, at_b
        b += step
        at_b = function(b)
        if (at_b > 0) == (at_c > 0) and at_b != 0 and at_c != 0:
            c, at_c = a, at_a
    return b


def _interpolated(
    a: float, b: float, c: float, at_a: float, at_b: float, at_c: float, before: float, least: float, halved: float
) -> float:
    """The step by inverse quadratic (or linear) interpolation, where it is a good one; else ``halved``."""
    across = c - b
    if a == c:
        ratio = at_b / at_a
        p, q = across * ratio, 1 - ratio
    else:
        r, t, s = at_a / at_c, at_b / at_c, at_b / at_a
        p = s * (across * r * (r - t) - (b - a) * (t - 1))
        q = (r - 1) * (t - 1) * (s - 1)
    if p > 0:
        q = -q
    else:
        p = -p
    good = p < 0.75 * across * q - abs(least * q) / 2 and p < abs(before * q / 2)
    return p / q if good else halved
