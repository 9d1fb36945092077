"""The routing tables that this worker holds, made ready for the hot path, and kept on disk.

Decisions are ``routing``'s; this applies them. A new table is on disk before it is acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from serving.contract import (
    ARM_HEADER,
    RELEASE_HEADER,
    Ack,
    Arm,
    ForceStable,
    Levels,
    Refusal,
    Renewal,
    Route,
    RouteState,
    RoutingTable,
    TierState,
    WorkerState,
)
from serving.gateway import route_store, routing
from serving.gateway.routing import StableRecord, TierRoute

NO_EPOCH = -1
"""In an ``Ack`` of a worker that holds no table of the tier."""


class Engine:
    """One endpoint, as this worker knows it."""

    __slots__ = ("down_until", "in_flight", "replica", "url", "urls")

    def __init__(self, replica: str, url: str) -> None:
        self.replica = replica
        self.url = url
        self.urls: dict[str, URL] = {}
        self.in_flight = 0
        self.down_until = 0.0
        """Monotonic seconds: until then others are asked first."""

    def at(self, path: str) -> URL:
        """The path's address; parsed once."""
        found = self.urls.get(path)
        if found is None:
            found = self.urls[path] = URL(self.url + path)
        return found


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """An arm, ready to serve."""

    arm: Arm
    release: str
    template_version: str
    engines: tuple[Engine, ...]
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tier does with new requests, ready to be used."""

    epoch: int
    """Under which requests are counted."""
    choices: tuple[tuple[int, ArmPlan], ...]
    """Upper bound of the weight, rising, and arm."""
    session_salt: str | None
    """None: assignment by request."""
    levels: Mapping[str, Mapping[str, Levels]]
    """By task class, then stratum."""
    lease_until: float | None
    template_version: str
    """Stable's: what a request must look like does not depend on the arm that it will get."""


class Routes:
    """All tiers' tables of one worker."""

    def __init__(
        self,
        worker: str,
        instance: str,
        folder: Path,
        records: Mapping[str, StableRecord],
        clock: Callable[[], float],
    ) -> None:
        self._worker = worker
        self._instance = instance
        self._folder = folder
        self._clock = clock
        self._engines: dict[tuple[str, str], Engine] = {}
        self._plans: dict[str, Plan] = {}
        self._saved: dict[str, StableRecord] = dict(records)
        self._lock = asyncio.Lock()
        self._forces = 0
        self.held: dict[str, TierRoute] = {}
        for tier, record in records.items():
            self._hold(tier, routing.recovered(record))

    def plan(self, tier: str) -> Plan | None:
        """What the tier does now; None if it has no table. An ended lease takes effect here, at the latest."""
        plan = self._plans.get(tier)
        if plan is not None and plan.lease_until is not None and self._clock() >= plan.lease_until:
            self._settle(tier)
            plan = self._plans[tier]
        return plan

    async def push(self, table: RoutingTable) -> Ack:
        async with self._lock:
            route, refusal = routing.pushed(self.held.get(table.tier), table, self._clock())
            if refusal is None:
                forces = self._forces
                # The fence must outlive this process before anybody is told that it stands.
                await self._save(route.record())
                if forces == self._forces:
                    route, refusal = routing.pushed(self.held.get(table.tier), table, self._clock())
                else:  # somebody broke the glass meanwhile, and must not be overruled by what was under way
                    route, refusal = self.held[table.tier], Refusal.FORCED_STABLE
                    await self._save(route.record())
            self._hold(table.tier, route)
        return self._ack(table.tier, refusal)

    def renew(self, tier: str, renewal: Renewal) -> Ack:
        route, refusal = routing.renewed(self.held.get(tier), renewal, self._clock())
        if route is not None:
            self._hold(tier, route)
        return self._ack(tier, refusal)

    async def force_stable(self, tier: str, force: ForceStable) -> Ack:
        """Takes effect at once, whether the disk can be written or not. Raises KeyError if the tier has no table."""
        route = routing.forced(self.held[tier], force)
        self._forces += 1
        self._hold(tier, route)
        with suppress(OSError):  # housekeeping tries again, and says so
            await self.keep_up()
        return self._ack(tier, None)

    async def keep_up(self) -> None:
        """Ends leases that nobody renewed, and puts on disk what is not there yet. Raises OSError."""
        for tier in self.held:
            self._settle(tier)
        async with self._lock:
            for route in list(self.held.values()):
                await self._save(route.record())

    def state(self) -> WorkerState:
        now = self._clock()
        for tier in self.held:
            self._settle(tier)
        tiers = {
            tier: TierState(route.table, route.state, route.lease_left_seconds(now), route.forced_by)
            for tier, route in self.held.items()
        }
        return WorkerState(self._worker, self._instance, tiers)

    def engines(self, tier: str) -> list[tuple[Arm, Engine]]:
        """Every engine of the tier's table, in force or not."""
        held = self.held.get(tier)
        routes = held.table.routes if held else ()
        return [(route.arm, self._engine(e.replica, e.url)) for route in routes for e in route.endpoints]

    def _settle(self, tier: str) -> None:
        held = self.held[tier]
        route = routing.settled(held, self._clock())
        if route is not held:
            self._hold(tier, route)

    def _hold(self, tier: str, route: TierRoute) -> None:
        if self.held.get(tier) is route:
            return
        self.held[tier] = route
        self._plans[tier] = self._planned(route)
        used = {(e.replica, e.url) for held in self.held.values() for r in held.table.routes for e in r.endpoints}
        self._engines = {key: engine for key, engine in self._engines.items() if key in used or engine.in_flight}

    def _planned(self, route: TierRoute) -> Plan:
        choices, bound = [], 0
        for arm_route, weight in route.in_force:
            bound += weight
            choices.append((bound, self._arm_plan(arm_route)))
        by_session = route.followed and route.table.affinity == "session"
        return Plan(
            route.counted_epoch,
            tuple(choices),
            route.table.salt if by_session else None,
            route.table.levels if route.followed else {},
            route.lease_until if route.state is RouteState.ACTIVE else None,
            route.table.route(Arm.STABLE).template_version,
        )

    def _arm_plan(self, route: Route) -> ArmPlan:
        engines = tuple(self._engine(endpoint.replica, endpoint.url) for endpoint in route.endpoints)
        headers = (
            (RELEASE_HEADER.encode(), route.release.encode("latin-1", "replace")),
            (ARM_HEADER.encode(), route.arm.value.encode()),
        )
        return ArmPlan(route.arm, route.release, route.template_version, engines, headers)

    def _engine(self, replica: str, url: str) -> Engine:
        """One object per engine, whichever tables name it, so that its load is counted once."""
        key = (replica, url)
        if key not in self._engines:
            self._engines[key] = Engine(replica, url)
        return self._engines[key]

    async def _save(self, record: StableRecord) -> None:
        if self._saved.get(record.tier) != record:
            await asyncio.to_thread(route_store.save, self._folder, record)
            self._saved[record.tier] = record

    def _ack(self, tier: str, refusal: Refusal | None) -> Ack:
        held = self.held.get(tier)
        if held is None:
            return Ack(self._worker, tier, NO_EPOCH, RouteState.ACTIVE, refusal)
        return Ack(self._worker, tier, held.table.epoch, held.state, refusal)
