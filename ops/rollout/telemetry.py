"""What a controller tells of itself and of its rollouts, in memory and for people: nothing is decided by it.

Counts begin at 0 with each controller, and every one of them is there from then on, since Prometheus's ``rate()``
never sees the first increment of a new series.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from ops.judge.model import Decision, EventEvidence
from ops.rollout.decided import Decided
from ops.rollout.record import Rollout
from ops.rollout.states import ENDED, State

TICK_BOUNDS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Around what a pass takes, up to the silence after which a leader is no leader (``ops.store.leadership``)."""


class TickFailure(StrEnum):
    DATABASE = "database"
    REPLICAS = "replicas"
    """What runs could not be seen or changed."""
    FENCED = "fenced"
    """Another controller leads since."""


@dataclass
class TierTelemetry:
    """Of one tier, as of the last decision."""

    seen: bool = False
    """Decided on at least once since this controller leads."""
    rollout: Rollout | None = None
    """The active one."""
    events: tuple[EventEvidence, ...] = ()
    """Of its last look."""
    looks: dict[Decision, int] = field(default_factory=lambda: dict.fromkeys(Decision, 0))
    ended: dict[State, int] = field(default_factory=lambda: {state: 0 for state in State if state in ENDED})
    frozen: bool = False

    def decided(self, decided: Decided, frozen: bool) -> None:
        """What was decided and saved."""
        self.seen = True
        before, after = self.rollout, decided.rollout
        if before is not None and (after is None or after.id != before.id):
            self.events = ()
        if decided.look is not None:
            self.looks[decided.look.decision] += 1
            self.events = decided.look.events
        if after is not None and after.state in ENDED and decided.entries:
            self.ended[after.state] += 1
            after, self.events = None, ()
        self.rollout, self.frozen = after, frozen


class Telemetry:
    def __init__(self, tiers: Iterable[str]) -> None:
        self.tiers = {tier: TierTelemetry() for tier in tiers}
        self.ticks = 0
        self.failures = dict.fromkeys(TickFailure, 0)
        self.tick_counts = [0] * (len(TICK_BOUNDS_SECONDS) + 1)
        """By ``TICK_BOUNDS_SECONDS``, which are inclusive; not cumulative."""
        self.tick_seconds = 0.0
        """The sum over all of them."""
        self.last_tick_at = 0.0
        """Unix seconds; 0: it never led."""
        self.database_up = False
        self.notifications_pending = 0

    def lead_began(self, now: float) -> None:
        """What another controller decided meanwhile is not known yet. ``now`` in Unix seconds."""
        self.last_tick_at = now
        for tier in self.tiers.values():
            tier.seen, tier.rollout, tier.events = False, None, ()

    def ticked(self, seconds: float, now: float, failed: Collection[TickFailure]) -> None:
        """A pass over all tiers ended at ``now`` (Unix seconds)."""
        self.ticks += 1
        self.tick_counts[bisect_left(TICK_BOUNDS_SECONDS, seconds)] += 1
        self.tick_seconds += seconds
        for kind in failed:
            self.failures[kind] += 1
        if not failed:
            self.last_tick_at = now
        self.database_up = TickFailure.DATABASE not in failed
