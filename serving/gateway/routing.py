"""What a worker does with the routing tables it is sent: epochs fence, leases end, a hand on the brake holds.

Pure: the clock is an argument, and each function answers with the new state and, where it refused, the reason.
``now`` and ``lease_until`` are seconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from serving.contract import (
    WEIGHT_TOTAL,
    Arm,
    ForceStable,
    Refusal,
    Renewal,
    Route,
    RouteState,
    RoutingTable,
)

UNJUDGED_EPOCH = 0
"""Under which requests are counted that no judge may read: while the table is not followed (lease over, forced, or
known from disk alone) they all went to stable, whatever it says; and of a session all but the first."""


class StableRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that outlives a worker: which route is stable, and how far the fence has moved."""

    tier: str
    epoch: int
    """The highest seen."""
    state: RouteState
    """Kept so that a restart cannot reopen an epoch whose lease ended or that was stopped by hand."""
    stable: Route
    forced_by: ForceStable | None = None


@dataclass(frozen=True)
class TierRoute:
    """One tier's table and what the worker makes of it."""

    table: RoutingTable
    state: RouteState = RouteState.ACTIVE
    lease_until: float | None = None
    recovered: bool = False
    """The table was rebuilt from disk: only its stable route and its epoch are known."""
    forced_by: ForceStable | None = None

    @property
    def followed(self) -> bool:
        return self.state is RouteState.ACTIVE and not self.recovered

    @property
    def counted_epoch(self) -> int:
        return self.table.epoch if self.followed else UNJUDGED_EPOCH

    @property
    def in_force(self) -> tuple[tuple[Route, int], ...]:
        """The routes that get new requests, with their weights."""
        if self.followed:
            return tuple((route, route.weight) for route in self.table.routes if route.weight)
        return ((self.table.route(Arm.STABLE), WEIGHT_TOTAL),)

    def lease_left_seconds(self, now: float) -> float | None:
        return None if self.lease_until is None else max(0.0, self.lease_until - now)

    def record(self) -> StableRecord:
        stable = self.table.route(Arm.STABLE)
        return StableRecord(self.table.tier, self.table.epoch, self.state, stable, self.forced_by)


def recovered(record: StableRecord) -> TierRoute:
    """The route of a tier after a restart."""
    stable = msgspec.structs.replace(record.stable, weight=WEIGHT_TOTAL)
    table = RoutingTable(tier=record.tier, epoch=record.epoch, routes=(stable,))
    return TierRoute(table, record.state, recovered=True, forced_by=record.forced_by)


def settled(route: TierRoute, now: float) -> TierRoute:
    """The route as it is at ``now``: a lease that nobody renewed has ended."""
    if route.state is RouteState.ACTIVE and route.lease_until is not None and now >= route.lease_until:
        return replace(route, state=RouteState.LEASE_EXPIRED)
    return route


def pushed(held: TierRoute | None, table: RoutingTable, now: float) -> tuple[TierRoute, Refusal | None]:
    """After a table was pushed. The same table again renews its lease; a higher epoch ends an expiry or a force."""
    lease_until = None if table.lease_seconds is None else now + table.lease_seconds
    accepted = TierRoute(table, lease_until=lease_until)
    if held is None:
        return accepted, None
    held = settled(held, now)
    if table.epoch > held.table.epoch:
        return accepted, None
    if table.epoch < held.table.epoch:
        return held, Refusal.EPOCH_TOO_LOW
    if (closed := _closed(held)) is not None:
        return held, closed
    if not held.recovered and table != held.table:
        return held, Refusal.TABLE_DIFFERS
    return accepted, None


def renewed(held: TierRoute | None, renewal: Renewal, now: float) -> tuple[TierRoute | None, Refusal | None]:
    """After a renewal. A lease that has ended cannot be renewed: its rollout was suspended."""
    if held is None:
        return None, Refusal.EPOCH_UNKNOWN
    held = settled(held, now)
    if renewal.epoch < held.table.epoch:
        return held, Refusal.EPOCH_TOO_LOW
    if renewal.epoch > held.table.epoch:
        return held, Refusal.EPOCH_UNKNOWN
    if (closed := _closed(held)) is not None:
        return held, closed
    if held.recovered:
        return held, Refusal.EPOCH_UNKNOWN
    if held.lease_until is None:
        return held, None
    return replace(held, lease_until=now + renewal.lease_seconds), None


def forced(held: TierRoute, force: ForceStable) -> TierRoute:
    """After the break glass was used: stable, until a table of a higher epoch comes."""
    return replace(held, state=RouteState.FORCED_STABLE, lease_until=None, forced_by=force)


def _closed(held: TierRoute) -> Refusal | None:
    if held.state is RouteState.FORCED_STABLE:
        return Refusal.FORCED_STABLE
    if held.state is RouteState.LEASE_EXPIRED:
        return Refusal.LEASE_EXPIRED
    return None
