"""The controller: observe, decide, save, act, again and again, while it leads.

Nothing is done that was not saved first, and nothing is kept in memory that would be missed: a controller that is
killed at any instant is followed by one that reads the same records and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import structlog

from ops.quality.model import Transcript
from ops.rollout.acting import make_true
from ops.rollout.assessing import probes_due
from ops.rollout.checking import Checks
from ops.rollout.clocks import read_clocks
from ops.rollout.counted import CounterSource
from ops.rollout.decided import Decided
from ops.rollout.deciding import decide, new_replicas
from ops.rollout.observing import Checked, Observation, Probed, blind_probe
from ops.rollout.record import Release, Rollout
from ops.rollout.recording import Recorded, Recorder, RecordingPlan
from ops.rollout.replicas import Replicas, ReplicasError, ReplicaSpec, ReplicaStatus
from ops.rollout.states import State
from ops.rollout.telemetry import Telemetry, TickFailure
from ops.rollout.traffic import Traffic
from ops.rollout.workers import Worker, WorkersSeen, see_workers
from ops.store.database import Database
from ops.store.deliveries import pending_deliveries
from ops.store.errors import LostLeadership, StoreError
from ops.store.leadership import Leadership, try_to_lead
from ops.store.rollouts import Loaded, load, save
from ops.store.transcripts import get_transcript

LEAD_RETRY_SECONDS = 1.0
TICK_SECONDS = 1.0
"""Between two ticks; commands wake it sooner. Far below any lease, so that several may fail before one runs out."""

log = structlog.get_logger("controller")


class Checker(Protocol):
    """The checks that take a while."""

    async def verify(self, release: Release) -> Checked: ...

    async def warm_up(self, url: str, rollout: Rollout) -> Checked: ...

    async def record(self, url: str, release: Release, plan: RecordingPlan) -> Recorded: ...

    async def probe(self, url: str, rollout: Rollout, own: Transcript | None, stable: Transcript | None) -> Probed: ...


@dataclass(frozen=True)
class Surroundings:
    """All that the controller deals with."""

    database: Database
    database_url: str
    replicas: Replicas
    workers: Sequence[Worker]
    checker: Checker
    tiers: tuple[str, ...]
    webhooks: tuple[str, ...]
    """Names of those to tell of transitions."""
    counters: CounterSource | None = None
    """Where the judge's counters come from. None: from the workers."""
    recording: Mapping[str, RecordingPlan] = field(default_factory=dict)
    """By tier: how its releases' transcripts are recorded as soon as they are registered. Without, when needed."""


@dataclass
class TierChecks:
    """What takes a while for one tier, beside the loop."""

    phases: Checks
    probes: Checks
    recordings: Checks
    recorder: Recorder
    clean: bool = False
    """No replica of the tier runs, and none should."""

    def forget(self) -> None:
        for checks in (self.phases, self.probes, self.recordings):
            checks.keep(set())


@dataclass(frozen=True)
class _Fenced:
    """Replicas for as long as their controller leads. One that hung between its decision and its act, and woke up
    when another had gone on, would else end replicas that serve by now. (Workers fence by the epoch.)"""

    replicas: Replicas
    leadership: Leadership

    async def apply(self, tier: str, desired: Collection[ReplicaSpec]) -> None:
        """Raises ReplicasError, LostLeadership."""
        if not await self.leadership.alive():
            raise LostLeadership("the session that held the lead has ended")
        await self.replicas.apply(tier, desired)

    async def observe(self, tier: str) -> tuple[ReplicaStatus, ...]:
        return await self.replicas.observe(tier)


def _forget(checks: Mapping[str, TierChecks]) -> None:
    for of_tier in checks.values():
        of_tier.forget()


class Controller:
    """One candidate for leadership. ``run`` until cancelled."""

    def __init__(self, around: Surroundings, holder: str):
        self.around = around
        self.holder = holder
        self.locks: Mapping[str, asyncio.Lock] = {tier: asyncio.Lock() for tier in around.tiers}
        """One per tier, held from load to save: by a tick, or by a command."""
        self.leadership: Leadership | None = None
        self.ticked_at: dict[str, float] = {}
        """Unix seconds of each tier's last tick that went through."""
        self.trouble: str | None = None
        """Why the last tick failed, or None."""
        self.traffic = Traffic()
        """Of all tiers, while it leads."""
        self.telemetry = Telemetry(around.tiers)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """The next tick now: something was changed, or found out."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            try:
                leadership = await try_to_lead(self.around.database_url, self.holder)
                self.telemetry.database_up = True
            except StoreError as e:
                self.trouble = str(e)
                self.telemetry.database_up = False
                log.warning("no_database", reason=str(e))
                leadership = None
            if leadership is None:
                await asyncio.sleep(LEAD_RETRY_SECONDS)
                continue
            async with leadership:
                log.info("leading", holder=self.holder, term=leadership.term)
                self.leadership = leadership
                try:
                    await self._lead(leadership)
                finally:
                    self.leadership = None
            log.warning("no_longer_leading", holder=self.holder, term=leadership.term)

    async def _lead(self, leadership: Leadership) -> None:
        self.telemetry.lead_began(time.time())
        async with asyncio.TaskGroup() as group:
            checks = {tier: self._tier_checks(group, tier, leadership.term) for tier in self.around.tiers}
            while await leadership.alive():
                started = time.monotonic()
                seen = await see_workers(self.around.workers, self.around.counters)
                self.traffic.read(seen.snapshots, started)
                failed = await self._tick_all(leadership, seen, checks)
                self.telemetry.ticked(time.monotonic() - started, time.time(), failed)
                if TickFailure.FENCED in failed:
                    break
                await self._pause(TICK_SECONDS - (time.monotonic() - started))
            _forget(checks)

    async def _tick_all(
        self, leadership: Leadership, seen: WorkersSeen, checks: Mapping[str, TierChecks]
    ) -> list[TickFailure]:
        """What went wrong, by tier; nothing after it was fenced off."""
        failed: list[TickFailure] = []
        for tier in self.around.tiers:
            try:
                await self._tick(tier, leadership, seen, checks[tier])
                self.ticked_at[tier] = time.time()
                self.trouble = None
            except LostLeadership as e:
                log.warning("fenced_off", reason=str(e))
                return [*failed, TickFailure.FENCED]
            except (StoreError, ReplicasError) as e:
                # Nothing was acted on that was not saved; the lease is the workers' way back to stable.
                self.trouble = str(e)
                failed.append(TickFailure.DATABASE if isinstance(e, StoreError) else TickFailure.REPLICAS)
                log.warning("tick_failed", tier=tier, reason=str(e))
        with contextlib.suppress(StoreError):  # a number for people: the next tick's will do
            self.telemetry.notifications_pending = await pending_deliveries(self.around.database)
        return failed

    def _tier_checks(self, group: asyncio.TaskGroup, tier: str, term: int) -> TierChecks:
        around = self.around
        phases, probes, recordings = (Checks(group, self.wake) for _ in range(3))
        recorder = Recorder(around.database, tier, term, around.checker, recordings, around.recording.get(tier))
        return TierChecks(phases, probes, recordings, recorder)

    async def _pause(self, seconds: float) -> None:
        """Until it is woken; by what happened during the tick, too."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout=max(seconds, 0.05))
        self._wake.clear()

    async def _tick(self, tier: str, leadership: Leadership, workers: WorkersSeen, checks: TierChecks) -> None:
        around, term = self.around, leadership.term
        async with self.locks[tier]:
            loaded = await load(around.database, tier, term)
            serves_nothing = loaded.tier.stable is None and loaded.active is None
            if serves_nothing and checks.clean and not await checks.recorder.waiting():
                self.telemetry.tiers[tier].decided(Decided(loaded.tier, None), loaded.frozen is not None)
                return
            seen = await self._observe(loaded, workers, checks)
            recording = await checks.recorder.step(loaded.active, seen.replicas or {})
            # Looked at before anything is stopped: what a controller before this one left is ended first.
            checks.clean = seen.replicas == {} and not recording
            decided = decide(loaded.tier, loaded.active, seen)
            if (decided.tier, decided.rollout) != (loaded.tier, loaded.active) or decided.entries:
                await save(around.database, decided, term=term, now=seen.now, webhooks=around.webhooks)
                for entry in decided.entries:
                    log.info(entry.kind, tier=tier, transition=entry.event, to=entry.to_state, reason=entry.reason)
            self.telemetry.tiers[tier].decided(decided, loaded.frozen is not None)
            replicas = _Fenced(around.replicas, leadership)
            await make_true(decided.tier, decided.rollout, replicas, around.workers, workers, recording)

    async def _observe(self, loaded: Loaded, workers: WorkersSeen, checks: TierChecks) -> Observation:
        tier = loaded.tier.tier
        try:
            statuses = {status.name: status for status in await self.around.replicas.observe(tier)}
        except ReplicasError as e:
            log.warning("replicas_unseen", tier=tier, reason=str(e))
            statuses = None
        now, clock = read_clocks()
        seen = Observation(
            now=now,
            clock=clock,
            replicas=statuses,
            workers={name: state.tiers.get(tier) for name, state in workers.states.items()},
            unreachable=workers.unreachable,
            snapshots=workers.snapshots,
            counted=workers.counted,
            uncounted=workers.uncounted,
            transcripts=await checks.recorder.statuses(loaded.active),
            frozen=loaded.frozen,
        )
        seen = self._with_checks(loaded.active, seen, checks.phases)
        return self._with_probes(loaded.active, seen, checks.probes)

    def _with_probes(self, rollout: Rollout | None, seen: Observation, probes: Checks) -> Observation:
        """With the probes that have ended; starts those that are due."""
        due = probes_due(rollout, seen) if rollout else {}
        probes.keep(set(due.values()))
        if rollout is None or not due:
            return seen
        found = {
            name: probes.answer(key, partial(self._probe, seen.urls[name], rollout)) for name, key in due.items()
        }
        ended = {name: done for name, done in found.items() if done is not None}
        return replace(
            seen,
            probes={
                name: done if isinstance(done, Probed) else blind_probe(done.reason) for name, done in ended.items()
            },
        )

    async def _probe(self, url: str, rollout: Rollout) -> Checked:
        database, stable = self.around.database, rollout.baseline_release
        own = await get_transcript(database, rollout.release.name)
        theirs = await get_transcript(database, stable.name) if stable else None
        return await self.around.checker.probe(url, rollout, own, theirs)

    def _with_checks(self, rollout: Rollout | None, seen: Observation, checks: Checks) -> Observation:
        """With what the slow checks have found; starts those that the rollout's phase needs."""
        preparing = rollout is not None and rollout.state in (State.PREPARING, State.WARMING)
        if rollout is None or not preparing or rollout.reused:
            checks.keep(set())
            return seen
        checker = self.around.checker
        # The files are checked before the replicas start, and again when they have read them.
        phase = ("artefact", rollout.id, rollout.generation, rollout.step, rollout.state)
        urls = {r.name: seen.urls[r.name] for r in new_replicas(rollout) if r.name in seen.urls}
        checks.keep({phase, *urls})
        artefact = checks.answer(phase, partial(checker.verify, rollout.release))
        if rollout.state is State.PREPARING:
            return replace(seen, artefact=artefact)
        warmed = {name: checks.answer(name, partial(checker.warm_up, url, rollout)) for name, url in urls.items()}
        return replace(seen, artefact=artefact, warmed={name: done for name, done in warmed.items() if done})
