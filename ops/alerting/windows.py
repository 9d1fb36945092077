"""Recorded counts over windows, and expressions over them: what rules for objectives are made of.

Requests and misses are recorded as counts, not as ratios: counts can be summed over tiers and classes, and a floor of
bad events can be asked of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from ops.alerting.model import Recording

LEVEL = "tier_class_objective"


def duration(seconds: float) -> str:
    """As PromQL writes it, in the largest unit that fits: 300 is ``5m``, 259200 ``3d``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def recorded(what: str, seconds: float) -> str:
    """``what`` is ``requests`` or ``misses``."""
    return f"{LEVEL}:{what}:increase{duration(seconds)}"


def recordings(windows: Iterable[float]) -> tuple[Recording, ...]:
    """Requests and misses of each window, by tier, class and objective."""
    return tuple(
        Recording(
            recorded(what, seconds),
            "sum by (tier, task_class, objective) "
            f"(increase(gateway_objective_{what}_total[{duration(seconds)}]))",
        )
        for seconds in sorted(set(windows))
        for what in ("requests", "misses")
    )


def misses(objective: str, seconds: float, by: str) -> str:
    return f'sum by ({by}) ({recorded("misses", seconds)}{{objective="{objective}"}})'


def requests(objective: str, seconds: float, by: str) -> str:
    return f'sum by ({by}) ({recorded("requests", seconds)}{{objective="{objective}"}})'


def over(objective: str, percent: float, seconds: float, by: str) -> str:
    """True where more than ``percent`` of a window's requests missed the objective."""
    share = f"{misses(objective, seconds, by)} / {requests(objective, seconds, by)}"
    return f"{share} > {percent / 100:.10g}"
