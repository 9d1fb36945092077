"""A world in virtual time around the real core of a rollout: gateway workers, replicas, users and a mortal controller.

Real here: ``decide``, the operators' commands, ``see_workers`` and ``make_true``, the store's JSON, and the gateway's
own rules for tables, epochs and leases (``serving.gateway.routing``). Imagined: the users, how long things take, and
what goes wrong. It stands beside the benchmarks and not in the product because it joins both planes, which no part of
the product may. Everything follows from one seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

import msgspec

from benchmarks.rollout_traffic import Behaviour, Gateway
from ops.quality.model import TranscriptState, TranscriptStatus
from ops.rollout.acting import make_true
from ops.rollout.assessing import probes_due, transcripts_needed
from ops.rollout.commanding import start
from ops.rollout.counted import CounterSource
from ops.rollout.decided import Decided, Entry
from ops.rollout.deciding import decide, new_replicas
from ops.rollout.observing import Checked, Observation, Probed
from ops.rollout.plan import RolloutPlan
from ops.rollout.record import Clock, Fleet, Release, Rollout, TierRecord
from ops.rollout.recorded import RecordedLook
from ops.rollout.replicas import ReplicasError, ReplicaSpec, ReplicaStatus
from ops.rollout.states import ENDED, State
from ops.rollout.timing import on_clock
from ops.rollout.workers import WorkersSeen, see_workers
from ops.store.records import from_json
from ops.verdict import Evidence, Outcome, Verdict
from serving.contract import WEIGHT_TOTAL, Arm, RoutingTable

T = TypeVar("T")
Until = State | Callable[[], object] | None
"""A state of the rollout, or a condition of the world."""

TIER = "production"
SOUND = Verdict(Outcome.PASS, (Evidence("as recorded"),))
BEGIN = 1_000_000.0
"""Unix seconds at which every world begins."""


def release(name: str) -> Release:
    return Release(name, TIER, "simulated", "1", f"/models/{name}", (), "v1", name * 8, (), BEGIN, "somebody")


def replica(name: str, of: Release) -> ReplicaSpec:
    return ReplicaSpec(name, TIER, "gratefulgpt-7b", of.engine, of.model_path, of.arguments)


@dataclass
class Engines:
    """Replicas that start after a while, or never. Implements ``ops.rollout.replicas.Replicas``."""

    start_seconds: float = 2.0
    now: float = BEGIN
    declared: dict[str, float] = field(default_factory=dict)
    """When each was declared."""
    exhausted: set[str] = field(default_factory=set)
    """Parts of names: replicas that keep dying."""
    away: bool = False
    """Whatever runs them cannot be asked; they run on."""
    stopped: list[tuple[float, str]] = field(default_factory=list)

    async def apply(self, tier: str, desired: Collection[ReplicaSpec]) -> None:
        if self.away:
            raise ReplicasError("the supervisor does not answer")
        names = {spec.name for spec in desired}
        for name in self.declared.keys() - names:
            self.stopped.append((self.now, name))
            del self.declared[name]
        for name in names - self.declared.keys():
            self.declared[name] = self.now

    async def observe(self, tier: str) -> tuple[ReplicaStatus, ...]:
        if self.away:
            raise ReplicasError("the supervisor does not answer")
        return tuple(
            ReplicaStatus(name, f"http://{name}", self.ready(name), self._broken(name)) for name in self.declared
        )

    def ready(self, name: str) -> bool:
        since = self.declared.get(name)
        return since is not None and self.now - since >= self.start_seconds and not self._broken(name)

    def _broken(self, name: str) -> bool:
        return any(part in name for part in self.exhausted)


@dataclass
class Checking:
    """The controller's slow checks: kept in its memory alone, so a kill forgets them."""

    seconds: float = 2.0
    begun: dict[Hashable, float] = field(default_factory=dict)

    def answer(self, key: Hashable, now: float, result: Checked) -> Checked | None:
        begun = self.begun.setdefault(key, now)
        return result if now - begun >= self.seconds else None

    def keep(self, wanted: Collection[Hashable]) -> None:
        self.begun = {key: at for key, at in self.begun.items() if key in set(wanted)}


@dataclass(frozen=True)
class Kill:
    """Of the controller: at which tick, whether its decision was saved, and for how long nobody leads."""

    tick: int
    saved: bool
    seconds: float


@dataclass
class World:
    plan: RolloutPlan
    seed: int = 1
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    """By release; what is not named behaves well."""
    requests_per_second: float = 300.0
    workers: Sequence[str] = ("w1", "w2")
    stable: Release | None = field(default_factory=lambda: release("stable"))
    artefact: Checked = field(default_factory=lambda: Checked(True, "as registered"))
    warm_up: Checked = field(default_factory=lambda: Checked(True, "warm"))
    transcripts: TranscriptState | None = TranscriptState.RECORDED
    """Of all releases; None: not asked for yet."""
    probe: Probed = field(default_factory=lambda: Probed(True, "probed", SOUND, SOUND))
    frozen: str | None = None
    kill: Kill | None = None
    wall_ahead_seconds: float = 0.0
    """By how much the controller's wall clock is wrong. The journal here keeps the true time."""
    boot: str = "this boot"
    source: CounterSource | None = None
    """Of the judge's counters; None: the workers."""

    def __post_init__(self) -> None:
        self.now, self.ticks, self.dead_until = BEGIN, 0, 0.0
        self.engines, self.checking, self.probing = Engines(), Checking(), Checking()
        self.warmed: set[str] = set()
        chance = Random(self.seed)
        self.gateways = [Gateway(name, self.plan, Random(chance.random()), self._behave) for name in self.workers]
        self.journal: list[tuple[float, Entry]] = []
        self.looks: list[RecordedLook] = []
        """As the store keeps them, of all rollouts."""
        self.tables: list[RoutingTable] = []
        self.rollout: Rollout | None = None
        self.tier = TierRecord(TIER)
        self._loop = asyncio.new_event_loop()
        if self.stable:
            fleet = Fleet(
                self.stable, tuple(replica(f"stable-{i}", self.stable) for i in range(self.plan.stable_replicas))
            )
            self.tier = TierRecord(TIER, stable=fleet)
            self._loop.run_until_complete(self.engines.apply(TIER, fleet.replicas))
            self.run(seconds=10)
            for gateway in self.gateways:
                gateway.turned_away = 0  # before the first table

    def _behave(self, name: str) -> Behaviour:
        return self.behaviours.get(name, Behaviour())

    def close(self) -> None:
        self._loop.close()

    # --- What people do -----------------------------------------------------------------------------------------

    def begin(self, of: Release, plan: RolloutPlan | None = None) -> None:
        """A rollout of ``of``. Raises CommandRefused."""
        self.command(
            lambda so_far: start(
                so_far.tier,
                so_far.rollout,
                of,
                plan or self.plan,
                rollout_id=f"r{len(self.journal)}",
                now=self.wall,
                actor="somebody",
                frozen=self.frozen,
            )
        )

    def command(self, act: Callable[[Decided], Decided]) -> None:
        """``act`` maps what is recorded to what is decided; a rollout that has ended is no longer there."""
        timed = on_clock(Decided(self.tier, self.active), self.wall, self._clock)
        self._save(act(timed))

    @property
    def wall(self) -> float:
        """Unix seconds, as the controller believes."""
        return self.now + self.wall_ahead_seconds

    @property
    def _clock(self) -> Clock:
        return Clock(self.boot, self.wall_ahead_seconds)

    def put_clocks(self, seconds: float, *, workers: bool = True) -> None:
        """Of the controller's machine, ahead or back; the workers' too if they run there."""
        self.wall_ahead_seconds += seconds
        for gateway in self.gateways if workers else ():
            gateway.wall_ahead_seconds += seconds

    @property
    def active(self) -> Rollout | None:
        return None if self.rollout is None or self.rollout.state in ENDED else self.rollout

    @property
    def state(self) -> State:
        assert self.rollout is not None
        return self.rollout.state

    # --- Time ---------------------------------------------------------------------------------------------------

    def run(self, *, seconds: float = 1e9, until: Until = None, ticks_max: int = 2000) -> None:
        """Ticks of a second, until the time is over, or ``until`` (a state, or a condition of this world) holds."""
        end = self.now + seconds
        for _ in range(ticks_max):
            if self.now >= end or (until is not None and self._holds(until)):
                return
            self.tick()
        raise AssertionError(f"{until} not reached in {ticks_max} ticks; {self.story()}")

    def _holds(self, until: Until) -> bool:
        return bool(until()) if callable(until) else self.rollout is not None and self.state is until

    def to_the_end(self) -> State:
        self.run(until=lambda: self.rollout is not None and self.active is None)
        return self.state

    def tick(self) -> None:
        self.now += 1.0
        self.ticks += 1
        self.engines.now = self.now
        for gateway in self.gateways:
            gateway.serve(self.now, 1.0, self.requests_per_second / len(self.gateways), self.engines.ready)
        if self.now >= self.dead_until:
            self._control()
        self._check()

    def _control(self) -> None:
        seen_workers = self._loop.run_until_complete(see_workers(self.gateways, self.source))
        seen = self._observe(seen_workers)
        decided = decide(self.tier, self.active, seen)
        killed = self.kill is not None and self.kill.tick == self.ticks
        if not killed or (self.kill and self.kill.saved):
            self._save(decided)
        if killed and self.kill:
            self.dead_until = self.now + self.kill.seconds
            self.checking, self.probing = Checking(), Checking()
            return
        self._loop.run_until_complete(
            make_true(self.tier, self.active, self.engines, self.gateways, seen_workers)
        )

    def _save(self, decided: Decided) -> None:
        """Through JSON, as the store keeps it: what does not survive that is not remembered."""
        self.tier = _stored(decided.tier, TierRecord)
        if decided.rollout is not None:
            self.rollout = _stored(decided.rollout, Rollout)
        self.journal += [(self.now, entry) for entry in decided.entries]
        if self.rollout is not None and decided.look is not None:
            r = self.rollout
            step = decided.told.situation.step if decided.told else r.step
            kept = RecordedLook(r.id, r.looks, self.now, step, decided.look, decided.told, r.looks_digest)
            self.looks.append(_stored(kept, RecordedLook))
        if self.tier.table is not None and (not self.tables or self.tables[-1] != self.tier.table):
            self.tables.append(self.tier.table)

    def _observe(self, workers: WorkersSeen) -> Observation:
        try:
            statuses = {s.name: s for s in self._loop.run_until_complete(self.engines.observe(TIER))}
        except ReplicasError:
            statuses = None
        seen = Observation(
            now=self.wall,
            clock=self._clock,
            replicas=statuses,
            workers={name: state.tiers.get(TIER) for name, state in workers.states.items()},
            unreachable=workers.unreachable,
            snapshots=workers.snapshots,
            counted=workers.counted,
            uncounted=workers.uncounted,
            frozen=self.frozen,
        )
        rollout = self.active
        if rollout is not None and self.transcripts is not None:
            names = transcripts_needed(rollout)
            seen = replace(seen, transcripts={name: TranscriptStatus(name, self.transcripts) for name in names})
        return self._with_probes(rollout, self._with_checks(rollout, seen))

    def _with_probes(self, rollout: Rollout | None, seen: Observation) -> Observation:
        due = probes_due(rollout, seen) if rollout else {}
        self.probing.keep(set(due.values()))
        answers = {name: self.probing.answer(key, self.now, self.probe) for name, key in due.items()}
        return replace(seen, probes={name: done for name, done in answers.items() if isinstance(done, Probed)})

    def _with_checks(self, rollout: Rollout | None, seen: Observation) -> Observation:
        if rollout is None or rollout.reused or rollout.state not in (State.PREPARING, State.WARMING):
            self.checking.keep(())
            return seen
        phase = ("artefact", rollout.generation, rollout.step, rollout.state)
        names = [spec.name for spec in new_replicas(rollout) if spec.name in seen.urls]
        self.checking.keep((phase, *names))
        artefact = self.checking.answer(phase, self.now, self.artefact)
        if rollout.state is State.PREPARING:
            return replace(seen, artefact=artefact)
        warmed = {name: self.checking.answer(name, self.now, self.warm_up) for name in names}
        self.warmed |= {name for name, done in warmed.items() if done and done.ok}
        return replace(seen, artefact=artefact, warmed={name: done for name, done in warmed.items() if done})

    # --- What must hold at every instant ------------------------------------------------------------------------

    def _check(self) -> None:
        epochs = [table.epoch for table in self.tables]
        assert epochs == sorted(set(epochs)), f"epochs do not rise strictly: {epochs}"
        for gateway in self.gateways:
            self._check_gateway(gateway)
        self._check_stable_capacity()

    def _check_gateway(self, gateway: Gateway) -> None:
        route = gateway.current(self.now)
        if route is None:
            return
        weights = {part.arm: weight for part, weight in route.in_force}
        assert sum(weights.values()) == WEIGHT_TOTAL
        off_stable = WEIGHT_TOTAL - weights.get(Arm.STABLE, 0)
        if not off_stable:
            return
        assert route.lease_until is not None
        assert route.lease_until - self.now <= self.plan.lease_seconds
        assert self.rollout is not None
        assert weights[Arm.CANARY] <= max(step.weight for step in self.plan.steps[: self.rollout.step + 1])
        for part, _ in route.in_force:
            for endpoint in part.endpoints if part.arm is not Arm.STABLE else ():
                assert endpoint.replica in self.warmed, f"{endpoint.replica} serves and was never warmed"

    def _check_stable_capacity(self) -> None:
        """The stable release of the beginning keeps every replica until a promotion's window has passed."""
        if self.stable is None:
            return
        promoted = [at for at, entry in self.journal if entry.event == "promote"]
        if promoted and self.now >= promoted[0] + self.plan.pace.rollback_window_seconds:
            return
        missing = {f"stable-{i}" for i in range(self.plan.stable_replicas)} - self.engines.declared.keys()
        assert not missing, f"stable lost {missing} at {self.now - BEGIN:g} s"

    def story(self) -> str:
        """The transitions so far, for the message of a test that fails."""
        lines = [f"seed {self.seed}"]
        for at, entry in self.journal:
            lines.append(f"{at - BEGIN:6.0f} {entry.kind} {entry.event} {entry.to_state}: {entry.reason}")
        return "\n".join(lines)


def _stored(record: object, kind: type[T]) -> T:
    encoded = msgspec.json.encode(msgspec.to_builtins(record, str_keys=True))
    return from_json(msgspec.json.decode(encoded), kind)
