"""Gateway workers and their users in virtual time: the gateway's own rules for tables, counted as it counts.

A worker here implements ``ops.rollout.workers.Worker``. Its tables, epochs and leases are those of
``serving.gateway.routing``; its requests are drawn one by one, and bad events are counted when they become certain.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import exp
from random import Random

from ops.rollout.plan import RolloutPlan
from ops.rollout.workers import WorkerError
from serving.contract import (
    FINE_BOUNDS_SECONDS,
    Ack,
    Arm,
    BadEvent,
    CounterCell,
    CounterSnapshot,
    ForceStable,
    LatencyCell,
    Refusal,
    Renewal,
    Route,
    RoutingTable,
    TierState,
    WorkerState,
)
from serving.gateway.routing import StableRecord, TierRoute, forced, pushed, recovered, renewed, settled

TASK_CLASS, STRATUM = "completion", "p0o1"
MEDIAN_SECONDS, SIGMA = 0.2, 0.3
FIRST_TOKEN_PART = 0.2


@dataclass(frozen=True)
class Behaviour:
    """Of a release's engines."""

    slower: float = 1.0
    failed_rate: float = 0.001
    empty_rate: float = 0.0
    dead: bool = False


@dataclass
class _Cell:
    assigned: int = 0
    finished: int = 0
    streamed: int = 0
    bad: dict[BadEvent, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class Gateway:
    """One worker. ``behave`` tells how a release's engines answer."""

    name: str
    plan: RolloutPlan
    chance: Random
    behave: Callable[[str], Behaviour]
    reachable: bool = True
    counting: bool = True
    """False: it answers, but its counters cannot be read."""
    deaf: bool = False
    """True: it answers, but takes no table and no renewal."""
    now: float = 0.0
    starts: int = 0
    routes: dict[str, TierRoute] = field(default_factory=dict)
    disk: dict[str, StableRecord] = field(default_factory=dict)
    turned_away: int = 0
    """Requests that came while it knew no table, or none of the arm's replicas was there."""
    served: dict[tuple[str, Arm], int] = field(default_factory=lambda: defaultdict(int))
    """Requests by release and arm over all its lives."""

    def __post_init__(self) -> None:
        self._begin_counting()

    def _begin_counting(self) -> None:
        self.cells: dict[tuple[str, Arm, int], _Cell] = defaultdict(_Cell)
        self.latencies: dict[tuple[str, Arm], tuple[list[int], list[int]]] = {}
        self.coming: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    # --- The admin side -----------------------------------------------------------------------------------------

    def current(self, now: float, tier: str = "production") -> TierRoute | None:
        route = self.routes.get(tier)
        return settled(route, now) if route else None

    async def state(self) -> WorkerState:
        self._answer()
        tiers = {}
        for tier, route in self.routes.items():
            self.routes[tier] = route = settled(route, self.now)
            tiers[tier] = TierState(route.table, route.state, route.lease_left_seconds(self.now), route.forced_by)
        return WorkerState(self.name, self._instance, tiers)

    async def counters(self) -> CounterSnapshot:
        self._answer()
        if not self.counting:
            raise WorkerError(f"{self.name} gives no counters")
        cells = tuple(
            CounterCell(tier, arm, epoch, TASK_CLASS, STRATUM, c.assigned, c.finished, c.streamed, dict(c.bad))
            for (tier, arm, epoch), c in self.cells.items()
        )
        latencies = tuple(
            LatencyCell(tier, arm, TASK_CLASS, STRATUM, tuple(whole), tuple(first))
            for (tier, arm), (whole, first) in self.latencies.items()
        )
        return CounterSnapshot(self.name, self._instance, self.now, cells, latencies)

    async def put(self, table: RoutingTable) -> Ack:
        self._answer(deaf=self.deaf)
        return self._held(table.tier, *pushed(self.routes.get(table.tier), table, self.now))

    async def renew(self, tier: str, renewal: Renewal) -> Ack:
        self._answer(deaf=self.deaf)
        route, refusal = renewed(self.routes.get(tier), renewal, self.now)
        if route is None:
            raise WorkerError(f"{self.name} holds no table of {tier}")
        return self._held(tier, route, refusal)

    def force_stable(self, actor: str, reason: str) -> None:
        for tier, route in self.routes.items():
            self._held(tier, forced(route, ForceStable(actor, reason)), None)

    def restart(self) -> None:
        """Its counts are gone, and of its tables it knows the stable route alone."""
        self.starts += 1
        self.routes = {tier: recovered(record) for tier, record in self.disk.items()}
        self._begin_counting()

    @property
    def _instance(self) -> str:
        return f"{self.name}-{self.starts}"

    def _answer(self, *, deaf: bool = False) -> None:
        if deaf or not self.reachable:
            raise WorkerError(f"{self.name} cannot be reached")

    def _held(self, tier: str, route: TierRoute, refusal: Refusal | None) -> Ack:
        self.routes[tier] = route
        self.disk[tier] = route.record()
        return Ack(self.name, tier, route.table.epoch, route.state, refusal)

    # --- Its users ----------------------------------------------------------------------------------------------

    def serve(self, now: float, seconds: float, rate: float, ready: Callable[[str], bool]) -> None:
        """The requests of the ``seconds`` up to ``now``."""
        at = self.now = now - seconds
        while (at := at + self.chance.expovariate(rate)) < now:
            self._until(at)
            self._request(at, ready)
        self._until(now)
        self.now = now

    def _until(self, at: float) -> None:
        while self.coming and self.coming[0][0] <= at:
            heappop(self.coming)[2]()
        self.now = at

    def _request(self, at: float, ready: Callable[[str], bool]) -> None:
        route = self.current(at)
        if route is None:
            self.turned_away += 1
            return
        part = self._choose(route)
        key = (route.table.tier, part.arm)
        cell = self.cells[*key, route.counted_epoch]
        cell.assigned += 1
        cell.streamed += 1
        self.served[part.release, part.arm] += 1
        if not any(ready(endpoint.replica) for endpoint in part.endpoints):
            self.turned_away += 1
            self._mark(at, cell, BadEvent.FAILED, ended=True)
            return
        self._answered(at, key, cell, route, self.behave(part.release))

    def _answered(
        self, at: float, key: tuple[str, Arm], cell: _Cell, route: TierRoute, behaviour: Behaviour
    ) -> None:
        chance = self.chance
        threshold = route.table.thresholds.get(TASK_CLASS, {}).get(STRATUM) if route.followed else None
        if behaviour.dead:
            if threshold:
                self._mark(at + threshold.latency_seconds, cell, BadEvent.SLOW)
            self._mark(at + 15.0, cell, BadEvent.FAILED, ended=True)
            return
        if chance.random() < behaviour.failed_rate:
            self._mark(at + 0.01, cell, BadEvent.FAILED, ended=True)
            return
        latency = MEDIAN_SECONDS * behaviour.slower * exp(chance.gauss(0.0, SIGMA))
        first = FIRST_TOKEN_PART * MEDIAN_SECONDS * behaviour.slower * exp(chance.gauss(0.0, SIGMA))
        if threshold and latency > threshold.latency_seconds:
            self._mark(at + threshold.latency_seconds, cell, BadEvent.SLOW)
        if threshold and first > threshold.first_token_seconds:
            self._mark(at + threshold.first_token_seconds, cell, BadEvent.SLOW_FIRST_TOKEN)
        empty = BadEvent.EMPTY if chance.random() < behaviour.empty_rate else None
        self._mark(at + latency, cell, empty, ended=True)
        self._mark(at + latency, cell, None, timing=(key, latency, first))

    def _choose(self, route: TierRoute) -> Route:
        parts = [part for part, _ in route.in_force]
        return self.chance.choices(parts, [weight for _, weight in route.in_force])[0]

    def _mark(
        self,
        at: float,
        cell: _Cell,
        event: BadEvent | None,
        *,
        ended: bool = False,
        timing: tuple[tuple[str, Arm], float, float] | None = None,
    ) -> None:
        def happen() -> None:
            if event is not None:
                cell.bad[event] += 1
            cell.finished += ended
            if timing is not None:
                key, latency, first = timing
                empty = [0] * (len(FINE_BOUNDS_SECONDS) + 1)
                whole_counts, first_counts = self.latencies.setdefault(key, (empty, list(empty)))
                whole_counts[bisect_left(FINE_BOUNDS_SECONDS, latency)] += 1
                first_counts[bisect_left(FINE_BOUNDS_SECONDS, first)] += 1

        self._number += 1
        heappush(self.coming, (at, self._number, happen))
