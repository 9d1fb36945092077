"""Gateway workers and their users in virtual time: the gateway's own rules for tables, counted as it counts.

A worker here implements ``ops.rollout.workers.Worker``. Its tables, epochs and leases are those of
``serving.gateway.routing``; its requests are drawn one by one, and bad events are counted when they become certain.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from math import exp, inf
from random import Random

from ops.rollout.plan import RolloutPlan
from ops.rollout.workers import WorkerError
from serving.contract import (
    FINE_BOUNDS,
    Ack,
    Arm,
    BadEvent,
    CounterCell,
    CounterSnapshot,
    ForceStable,
    Levels,
    MeasuredCell,
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
FAILING_SECONDS, TIMEOUT_SECONDS = 0.01, 15.0


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
    levels: dict[BadEvent, list[int]] = field(default_factory=dict)

    def grade(self, event: BadEvent, level: int, cuts: int) -> None:
        self.levels.setdefault(event, [0] * (cuts + 1))[level] += 1


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
    wall_ahead_seconds: float = 0.0
    """By how much its wall clock is wrong."""
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
        self.measured: dict[tuple[str, Arm], dict[BadEvent, list[int]]] = {}
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
            CounterCell(
                *(tier, arm, epoch, TASK_CLASS, STRATUM, c.assigned, c.finished, c.streamed, dict(c.bad)),
                {event: tuple(counts) for event, counts in c.levels.items()},
            )
            for (tier, arm, epoch), c in self.cells.items()
        )
        measured = tuple(
            MeasuredCell(tier, arm, TASK_CLASS, STRATUM, {event: tuple(counts) for event, counts in found.items()})
            for (tier, arm), found in self.measured.items()
        )
        return CounterSnapshot(self.name, self._instance, self.now + self.wall_ahead_seconds, cells, measured)

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
        levels = route.table.levels.get(TASK_CLASS, {}).get(STRATUM, {}) if route.followed else {}
        if behaviour.dead:
            self._grade(at, cell, levels, BadEvent.SLOW, inf, TIMEOUT_SECONDS)
            self._mark(at + TIMEOUT_SECONDS, cell, BadEvent.UNANSWERED, ended=True)
            return
        if chance.random() < behaviour.failed_rate:
            self._grade(at, cell, levels, BadEvent.SLOW, inf, FAILING_SECONDS)
            self._mark(at + FAILING_SECONDS, cell, BadEvent.FAILED, ended=True)
            return
        latency = MEDIAN_SECONDS * behaviour.slower * exp(chance.gauss(0.0, SIGMA))
        first = FIRST_TOKEN_PART * MEDIAN_SECONDS * behaviour.slower * exp(chance.gauss(0.0, SIGMA))
        values = {BadEvent.SLOW: latency, BadEvent.SLOW_FIRST_TOKEN: first}
        for event, seconds in values.items():
            self._grade(at, cell, levels, event, seconds, seconds)
        empty = BadEvent.EMPTY if chance.random() < behaviour.empty_rate else None
        self._mark(at + latency, cell, empty, ended=True)
        self._at(at + latency, partial(self._measure, key, values))

    def _grade(
        self, at: float, cell: _Cell, levels: Levels, event: BadEvent, seconds: float, over_seconds: float
    ) -> None:
        """On its level when it is over, or when the last cut has passed."""
        cuts = levels.get(event)
        if cuts:
            level = bisect_left(cuts, seconds)
            self._at(at + min(over_seconds, cuts[-1]), partial(cell.grade, event, level, len(cuts)))

    def _measure(self, key: tuple[str, Arm], values: dict[BadEvent, float]) -> None:
        found = self.measured.setdefault(key, {})
        for event, seconds in values.items():
            bounds = FINE_BOUNDS[event]
            found.setdefault(event, [0] * (len(bounds) + 1))[bisect_left(bounds, seconds)] += 1

    def _choose(self, route: TierRoute) -> Route:
        parts = [part for part, _ in route.in_force]
        return self.chance.choices(parts, [weight for _, weight in route.in_force])[0]

    def _mark(self, at: float, cell: _Cell, event: BadEvent | None, *, ended: bool = False) -> None:
        def happen() -> None:
            if event is not None:
                cell.bad[event] += 1
            cell.finished += ended

        self._at(at, happen)

    def _at(self, at: float, happen: Callable[[], None]) -> None:
        self._number += 1
        heappush(self.coming, (at, self._number, happen))
