"""What is broken on purpose, and the alert that each must set off: the one place that says so. Pure.

Shares come from the spec: those at which its rules fire. A breach that the client does not see by as much is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ops.alerting.inhibiting import ALL_GONE, HIGH_ERROR_RATE, SERVICE_OUTAGE, SLOWNESS
from ops.alerting.model import Severity
from ops.loadtest.certifying.observed import Counted
from ops.spec.model import Spec


class Bad(StrEnum):
    """Which requests a breach makes bad, as the client sees it."""

    FAILED = "failed"
    """Without a good answer."""
    MISSED = "failed or late"
    """Later than the class's p95 target."""
    MISSED_BY_CLASS = "failed or late, in the class with most of them"


@dataclass(frozen=True)
class Breach:
    name: str
    words: str
    """What happens, as it is told."""
    alert: str
    bad: Bad
    share: Callable[[Spec], float]
    """Of bad requests, 0 to 1, that the alert's rule asks for."""
    faults: Mapping[str, float | bool] = field(default_factory=dict)
    """Of every simulated engine."""
    hang: bool = False
    """Whether the engines' processes are stopped instead."""


def share_seen(bad: Bad, counted: Mapping[str, Counted]) -> Counted:
    """The requests, by class, that a breach of this kind is measured by; bad ones of it stand in ``failed``."""
    if bad is Bad.MISSED_BY_CLASS:
        each = [Counted(one.requests, one.failed + one.late) for one in counted.values() if one.requests]
        return max(each, key=lambda one: one.failed / one.requests, default=Counted())
    every = sum(counted.values(), Counted())
    return Counted(every.requests, every.failed + (every.late if bad is Bad.MISSED else 0))


def _outage(spec: Spec) -> float:
    return spec.alerting.objectives.outage.bad_percent / 100


def _error_rate(spec: Spec) -> float:
    return (spec.alerting.thresholds.error_rate_percent.critical or 0.0) / 100


def _late(spec: Spec) -> float:
    rows = [row.bad_percent for row in spec.alerting.objectives.share if row.severity == Severity.CRITICAL.value]
    return min(rows, default=0.0) / 100


NO_ENGINE = ALL_GONE[1]
BREACHES = (
    Breach(
        name="errors",
        words="the engines answer half of the requests with an error",
        alert=HIGH_ERROR_RATE,
        bad=Bad.FAILED,
        share=_error_rate,
        faults={"error_rate": 0.5},
    ),
    Breach(
        name="outage",
        words="the engines answer every request with an error",
        alert=SERVICE_OUTAGE,
        bad=Bad.MISSED,
        share=_outage,
        faults={"error_rate": 1.0},
    ),
    Breach(
        # With the reference spec's lengths that is 0.7 s for most queries, to which 0.5 s is promised; nearly all long
        # answers stay within their 2 s. Were three quarters of all late, it would be an outage, which is another alert.
        name="slow",
        words="the engines take 5 times as long",
        alert=SLOWNESS[0],
        bad=Bad.MISSED_BY_CLASS,
        share=_late,
        faults={"slowdown": 5.0},
    ),
    Breach(
        name="hang",
        words="the engines' processes are stopped: they take connections and do nothing",
        alert=NO_ENGINE,
        bad=Bad.FAILED,
        share=_outage,  # no rule counts these requests; to users it is an outage
        hang=True,
    ),
)
BY_NAME = {one.name: one for one in BREACHES}
