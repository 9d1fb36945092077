"""Kayenta's NetflixACAJudge: Mann and Whitney's test per metric over points of a time series, and a score.

NaN are removed, outliers kept (its defaults). The score is the weighted share of metrics that pass, 0 if a critical one
does not. A standalone analysis looks again and again at a growing window: a score at or below ``marginal`` ends it, and
the last must reach ``passing``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from benchmarks.judge.peers.mann_whitney import Shift, shift

_SHIFT_TOLERANCE = 0.25
"""Of the estimated shift: the interval must lie beyond it."""
_NOISE = 1e-5
"""Of the value, added where both sides are constant and differ."""
_NODATA_SHARE_MAX = 0.5

Floats = NDArray[np.float64]


class Class(StrEnum):
    PASS = "pass"
    HIGH = "high"
    LOW = "low"
    NODATA = "nodata"


@dataclass(frozen=True)
class Compared:
    """A metric's two samples, compared once: what the settings below then make of it."""

    name: str
    shift: Shift | None
    """None where nothing was to be compared."""
    ratio: float
    """Of the means; NaN if one of them is 0."""
    data: bool


def compared(name: str, experiment: Sequence[float], control: Sequence[float], chance: np.random.Generator) -> Compared:
    x, y = (np.array(side, dtype=float) for side in (experiment, control))
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    if not len(x) or not len(y):
        return Compared(name, None, float("nan"), False)
    means = float(x.mean()), float(y.mean())
    ratio = means[0] / means[1] if all(means) else float("nan")
    alike = len(x) == len(y) and bool((np.sort(x) == np.sort(y)).all())
    if alike or len(np.unique(np.concatenate([x, y]))) == 1:
        return Compared(name, None, ratio, True)
    if len(np.unique(x)) == 1 and len(np.unique(y)) == 1:
        x, y = (side + chance.normal(0.0, 1.0, len(side)) * _NOISE * np.abs(side) for side in (x, y))
    return Compared(name, shift(x, y), ratio, True)


def classified(metric: Compared, allowed_increase: float) -> Class:
    """For a metric of which an increase is bad."""
    if not metric.data:
        return Class.NODATA
    if metric.shift is None:
        return Class.PASS
    beyond = metric.shift.low > _SHIFT_TOLERANCE * abs(metric.shift.estimate)
    large = np.isnan(metric.ratio) or metric.ratio >= allowed_increase
    return Class.HIGH if beyond and large else Class.PASS


def score(classes: Sequence[Class], critical: Sequence[bool]) -> float:
    """0 to 100, metrics of one group and of equal weight."""
    nodata = sum(one is Class.NODATA for one in classes)
    if any(must and one is not Class.PASS for one, must in zip(classes, critical, strict=True)):
        return 0.0
    if nodata >= _NODATA_SHARE_MAX * len(classes):
        return 0.0
    counted = [one for one in classes if one is not Class.NODATA]
    return round(100 * sum(one is Class.PASS for one in counted) / len(counted), 2) if counted else 100.0
