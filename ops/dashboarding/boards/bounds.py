"""The spec's thresholds as bounds of panels: where an alert fires, a line is drawn."""

from __future__ import annotations

from ops.dashboarding.model import RED, YELLOW, Bound
from ops.spec.alerting import DepthLevels, PercentLevels


def bounds(levels: PercentLevels | DepthLevels, times: float = 1) -> tuple[Bound, ...]:
    """``times`` turns the spec's unit into the panel's."""
    found = ((levels.warning, YELLOW), (levels.critical, RED))
    return tuple(Bound(round(level * times, 10), colour) for level, colour in found if level is not None)


def ratios(levels: PercentLevels) -> tuple[Bound, ...]:
    """For a panel of shares, 0 to 1."""
    return bounds(levels, 1 / 100)
