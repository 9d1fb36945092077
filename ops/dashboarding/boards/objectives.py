"""Shares of requests that missed an objective, as panels ask for them, and where alerts on them are made."""

from __future__ import annotations

from collections.abc import Iterable

from ops.dashboarding.model import RED, YELLOW, Bound
from ops.dashboarding.querying import TASK_CLASS, TIER, rate, share
from ops.spec.alerting import Share

REQUESTS, MISSES = "gateway_objective_requests_total", "gateway_objective_misses_total"
AVAILABILITY = 'objective="availability"'
KNOWN = "> -Inf"
"""Without those of whom nothing is known: the budget of a tier that nobody asks is no number."""


def missed(objective: str, by: str) -> str:
    """The share of requests that missed the objective. A miss is counted later than its request: where requests
    become fewer, there can be more of them for a while."""
    of = f'objective="{objective}"'
    missing = share(rate(MISSES, TIER, TASK_CLASS, of, by=by), rate(REQUESTS, TIER, TASK_CLASS, of, by=by))
    return f"clamp_max({missing}, 1)"


def alerts(rows: Iterable[Share]) -> tuple[Bound, ...]:
    """Where alerts of these shares are made."""
    found = (Bound(one.bad_percent / 100, RED if one.severity == "critical" else YELLOW) for one in rows)
    return tuple(sorted(found, key=lambda bound: bound.value))
