"""Gateway workers and their users in virtual time: the gateway's own rules for tables, counted as it counts.

A worker here implements ``ops.rollout.workers.Worker``. Its tables, epochs and leases are those of
``serving.gateway.routing``; its requests are drawn one by one, and bad events are counted when they become certain.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate
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
    RouteState,
    RoutingTable,
    TierState,
    WorkerState,
)
from serving.gateway.routing import StableRecord, TierRoute, forced, pushed, recovered, renewed, settled

TASK_CLASS, STRATUM = "completion", "p0o1"
MEDIAN_SECONDS, SIGMA = 0.2, 0.3
FIRST_TOKEN_PART = 0.2
FAILING_SECONDS, TIMEOUT_SECONDS = 0.01, 15.0
SLOW, FIRST_TOKEN = BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN


@dataclass(frozen=True)
class Behaviour:
    """Of a release's engines."""

    slower: float = 1.0
    failed_rate: float = 0.001
    empty_rate: float = 0.0
    dead: bool = False


@dataclass(slots=True)
class _Cell:
    assigned: int = 0
    finished: int = 0
    streamed: int = 0
    bad: dict[BadEvent, int] = field(default_factory=dict)
    levels: dict[BadEvent, list[int]] = field(default_factory=dict)

    def grade(self, event: BadEvent, level: int, cuts: int) -> None:
        if event not in self.levels:
            self.levels[event] = [0] * (cuts + 1)
        self.levels[event][level] += 1

    def end(self, event: BadEvent | None) -> None:
        self.finished += 1
        if event is not None:
            self.bad[event] = self.bad.get(event, 0) + 1


@dataclass(frozen=True, slots=True)
class _Flow:
    """What the requests of one arm have in common while the table and the engines are as they are."""

    key: tuple[str, Arm]
    """Tier and arm."""
    released: tuple[str, Arm]
    """Release and arm."""
    cell: _Cell
    there: bool
    """Any of its replicas."""
    behaviour: Behaviour
    levels: Levels


class _Sharing:
    """How a route shares requests out; good before ``until``, when its lease ends."""

    def __init__(self, route: TierRoute) -> None:
        self.route = route
        leased = route.state is RouteState.ACTIVE and route.lease_until is not None
        self.until = route.lease_until if leased else inf
        self.parts = [part for part, _ in route.in_force]
        self.flows: dict[int, _Flow] = {}
        """By the part's number, of those that have got a request."""
        self._weights = list(accumulate(weight for _, weight in route.in_force))

    def draw(self, chance: Random) -> int:
        """A part's number; as ``Random.choices``, which would check the weights anew for each request."""
        return bisect(self._weights, chance.random() * self._weights[-1], 0, len(self.parts) - 1)


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
        self.coming: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        """When, what, and on what; the numbers between keep the order of what comes at once."""
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
        """The requests of the ``seconds`` up to ``now``. Meanwhile no table comes and no engine changes, and nobody
        reads the counters: what happens before ``now`` is counted at once."""
        self.now, at, chance = now, now - seconds, self.chance
        while self.coming and self.coming[0][0] <= now:
            _, _, happen, what = heappop(self.coming)
            happen(*what)
        route = self.current(at)
        sharing = None if route is None else _Sharing(route)
        while (at := at + chance.expovariate(rate)) < now:
            if sharing is None:
                self.turned_away += 1
                continue
            if at >= sharing.until:
                sharing = _Sharing(settled(sharing.route, at))
            number = sharing.draw(chance)
            if number not in sharing.flows:
                sharing.flows[number] = self._flow(sharing, number, ready)
            self._request(at, sharing.flows[number])

    def _flow(self, sharing: _Sharing, number: int, ready: Callable[[str], bool]) -> _Flow:
        route, part = sharing.route, sharing.parts[number]
        key = (route.table.tier, part.arm)
        return _Flow(
            key,
            (part.release, part.arm),
            self.cells[*key, route.counted_epoch],
            any(ready(endpoint.replica) for endpoint in part.endpoints),
            self.behave(part.release),
            route.table.levels.get(TASK_CLASS, {}).get(STRATUM, {}) if route.followed else {},
        )

    def _request(self, at: float, flow: _Flow) -> None:
        cell, behaviour, chance = flow.cell, flow.behaviour, self.chance
        cell.assigned += 1
        cell.streamed += 1
        self.served[flow.released] += 1
        if not flow.there:
            self.turned_away += 1
            cell.end(BadEvent.FAILED)
        elif behaviour.dead:
            self._grade(at, flow, SLOW, inf, TIMEOUT_SECONDS)
            self._at(at + TIMEOUT_SECONDS, cell.end, BadEvent.UNANSWERED)
        elif chance.random() < behaviour.failed_rate:
            self._grade(at, flow, SLOW, inf, FAILING_SECONDS)
            self._at(at + FAILING_SECONDS, cell.end, BadEvent.FAILED)
        else:
            latency = MEDIAN_SECONDS * behaviour.slower * exp(chance.gauss(0.0, SIGMA))
            first = FIRST_TOKEN_PART * MEDIAN_SECONDS * behaviour.slower * exp(chance.gauss(0.0, SIGMA))
            empty = BadEvent.EMPTY if chance.random() < behaviour.empty_rate else None
            self._grade(at, flow, FIRST_TOKEN, first, first)
            self._grade(at, flow, SLOW, latency, latency)
            self._at(at + latency, self._answered, flow, latency, first, empty)

    def _grade(self, at: float, flow: _Flow, event: BadEvent, seconds: float, over_seconds: float) -> None:
        """On its level when it is over, or when the last cut has passed."""
        cuts = flow.levels.get(event)
        if cuts:
            level = bisect_left(cuts, seconds)
            self._at(at + min(over_seconds, cuts[-1]), flow.cell.grade, event, level, len(cuts))

    def _answered(self, flow: _Flow, latency: float, first: float, empty: BadEvent | None) -> None:
        flow.cell.end(empty)
        found = self.measured.get(flow.key)
        if found is None:
            found = {event: [0] * (len(FINE_BOUNDS[event]) + 1) for event in (SLOW, FIRST_TOKEN)}
            self.measured[flow.key] = found
        found[SLOW][bisect_left(FINE_BOUNDS[SLOW], latency)] += 1
        found[FIRST_TOKEN][bisect_left(FINE_BOUNDS[FIRST_TOKEN], first)] += 1

    def _at(self, at: float, happen: Callable[..., None], *what: object) -> None:
        if at <= self.now:
            happen(*what)
        else:
            self._number += 1
            heappush(self.coming, (at, self._number, happen, what))
