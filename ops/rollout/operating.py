"""What operators can do and see: each operation loads, decides and saves under the tier's lock, then wakes the loop."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from ops.judge.metering import Metered
from ops.quality.model import TranscriptState, TranscriptStatus
from ops.rollout import commanding
from ops.rollout.answering import Judgement, answer
from ops.rollout.clocks import read_clocks
from ops.rollout.commanding import CommandRefused
from ops.rollout.controlling import Controller
from ops.rollout.decided import Decided
from ops.rollout.observing import Checked, Observation
from ops.rollout.plan import RolloutPlan
from ops.rollout.precautions import Calibration, Precautions
from ops.rollout.record import Release, Rollout
from ops.rollout.timing import on_clock
from ops.rollout.workers import see_workers
from ops.store.errors import LostLeadership, NotFound
from ops.store.freezes import freeze, lift_freeze
from ops.store.releases import add_release, get_release, list_releases
from ops.store.rollouts import Loaded, get_rollout, list_rollouts, load, save
from ops.store.transcripts import record_again, transcript_statuses
from ops.verdict import Outcome

ENGINES = ("simulated", "vllm")


@dataclass(frozen=True)
class ReleaseRequest:
    name: str
    tier: str
    engine: str
    model: str
    """A folder, or ``file://``."""
    engine_version: str = ""
    arguments: tuple[str, ...] = ()
    template_version: str = "v1"


class Registrar(Protocol):
    """Reads artefacts."""

    async def register(self, request: ReleaseRequest, *, now: float, actor: str) -> Release:
        """Raises CommandRefused if there is no artefact there."""

    async def verify(self, release: Release) -> Checked: ...


class Operations:
    def __init__(
        self,
        controller: Controller,
        registrar: Registrar,
        plan_now: Callable[[str], RolloutPlan],
        plan_known_good: Callable[[str], RolloutPlan],
    ):
        """``plan_now`` gives a tier's plan from the spec as it is now, and raises CommandRefused if that is faulty;
        ``plan_known_good`` from the spec that the controller started with: a broken file must not bar the way back."""
        self._controller = controller
        self._database = controller.around.database
        self._registrar = registrar
        self._plan_now = plan_now
        self._plan_known_good = plan_known_good
        self._precautions = Precautions(self._database)

    # --- Releases -----------------------------------------------------------------------------------------------

    async def add_release(self, request: ReleaseRequest, actor: str) -> Release:
        """Raises CommandRefused, Conflict."""
        self._require_tier(request.tier)
        if request.engine not in ENGINES:
            raise CommandRefused(f"engine {request.engine!r} is none of {', '.join(ENGINES)}")
        release = await self._registrar.register(request, now=time.time(), actor=actor)
        await add_release(self._database, release)
        self._controller.wake()
        return release

    async def releases(self, tier: str | None) -> list[Release]:
        return await list_releases(self._database, tier)

    async def release(self, name: str) -> Release:
        return await get_release(self._database, name)

    async def verify_release(self, name: str) -> Checked:
        return await self._registrar.verify(await get_release(self._database, name))

    async def transcript_status(self, name: str) -> TranscriptStatus:
        """Where the recording of the release's reference transcript stands. Raises NotFound."""
        tier = (await get_release(self._database, name)).tier
        found = (await transcript_statuses(self._database, [name])).get(name)
        if found is None or found.state is TranscriptState.PENDING:
            quality = self._plan_known_good(tier).quality
            if quality is None or not quality.wanted:
                return TranscriptStatus(name, TranscriptState.OFF)
        return found or TranscriptStatus(name, TranscriptState.PENDING, "no rollout has asked for it yet")

    async def record_again(self, name: str) -> TranscriptStatus:
        """Raises NotFound."""
        await record_again(self._database, name)
        self._controller.wake()
        return await self.transcript_status(name)

    # --- Rollouts -----------------------------------------------------------------------------------------------

    async def start(self, release_name: str, tier: str | None, actor: str, accept_blind_spots: bool = False) -> Rollout:
        """Raises CommandRefused; for a plan that cannot detect what the spec demands, too, unless that is accepted."""
        release = await get_release(self._database, release_name)
        tier = tier or release.tier
        self._require_tier(tier)
        plan, foreseen = await self._foreseen(tier, self._plan_now(tier), accept_blind_spots)

        def begin(loaded: Loaded, now: float) -> Decided:
            return commanding.start(
                loaded.tier,
                loaded.active,
                release,
                plan,
                rollout_id=_new_id(),
                now=now,
                actor=actor,
                frozen=loaded.frozen,
                foreseen=foreseen,
            )

        return await self._carry_out(tier, begin)

    async def calibration(self, tier: str) -> Calibration:
        """Margins as the history has them. Raises NotFound, CommandRefused."""
        return await self._precautions.calibration(tier, self._plan_now(tier), self.traffic(tier))

    async def _foreseen(
        self, tier: str, plan: RolloutPlan, accept_blind_spots: bool
    ) -> tuple[RolloutPlan, dict[str, object]]:
        """The plan with its margins, and what the journal is to say of it. Nothing is foreseen of a direct rollout."""
        loaded = await load(self._database, tier)
        if loaded.tier.stable is None or loaded.active is not None or loaded.frozen is not None:
            return plan, {}
        found = await self._precautions.precaution(tier, plan, self.traffic(tier))
        if found.verdict.outcome is Outcome.FAIL and not accept_blind_spots:
            raise CommandRefused(
                f"at this traffic it cannot detect what the spec demands: {found.words}; 'ops canary plan' says what "
                "would mend it, and --accept-blind-spots starts it all the same"
            )
        accepted = found.verdict.outcome is Outcome.FAIL
        return found.plan, {**found.payload, **({"accepted_blind_spots": True} if accepted else {})}

    async def command(self, rollout_id: str, command: str, actor: str, reason: str) -> Rollout:
        """``pause``, ``resume``, ``promote`` or ``rollback``. Raises CommandRefused, NotFound."""
        act = {
            "pause": commanding.pause,
            "resume": commanding.resume,
            "promote": commanding.promote,
            "rollback": commanding.roll_back,
        }[command]
        tier = (await get_rollout(self._database, rollout_id)).tier

        def obey(loaded: Loaded, now: float) -> Decided:
            if loaded.active is None or loaded.active.id != rollout_id:
                raise CommandRefused(f"rollout {rollout_id} has ended")
            if command == "promote" and loaded.frozen is not None:
                raise CommandRefused(f"releases are frozen: {loaded.frozen}; lift it with 'ops freeze off'")
            return act(Decided(loaded.tier, loaded.active), now, actor, reason)

        return await self._carry_out(tier, obey)

    async def judge_now(self, rollout_id: str, step: int | None) -> Judgement:
        """One look at the rollout as it is now, of fresh counters; nothing is kept. Raises NotFound, CommandRefused."""
        rollout = await get_rollout(self._database, rollout_id)
        workers = await see_workers(self._controller.around.workers, self._controller.around.counters)
        loaded = await load(self._database, rollout.tier)
        if loaded.active is not None and loaded.active.id == rollout.id:
            rollout = loaded.active
        seen = Observation(
            now=time.time(),
            replicas=None,
            workers={name: state.tiers.get(rollout.tier) for name, state in workers.states.items()},
            unreachable=workers.unreachable,
            snapshots=workers.snapshots,
            counted=workers.counted,
            uncounted=workers.uncounted,
            frozen=loaded.frozen,
        )
        return answer(loaded.tier, rollout, seen, step)

    async def judge_tier_now(self, tier: str, step: int | None) -> Judgement:
        """Of the tier's newest rollout. Raises NotFound, CommandRefused."""
        self._require_tier(tier)
        newest = await list_rollouts(self._database, tier, 1)
        if not newest:
            raise NotFound(f"there was no rollout of {tier} yet")
        return await self.judge_now(newest[0].id, step)

    async def roll_back_tier(self, tier: str, to: str | None, actor: str, reason: str) -> Rollout:
        """The active rollout back, or, when none is active, the tier to an earlier release (by default the last)."""
        self._require_tier(tier)
        named = await get_release(self._database, to) if to else None
        earlier = named or await self._last_stable_but_one(tier)

        def obey(loaded: Loaded, now: float) -> Decided:
            active, stable = loaded.active, loaded.tier.stable
            if active is not None and (named is None or (stable and stable.release.name == named.name)):
                return commanding.roll_back(Decided(loaded.tier, active), now, actor, reason)
            retained = loaded.tier.retained.fleet.release if loaded.tier.retained else None
            target = named or retained or earlier
            if target is None:
                raise CommandRefused(f"{tier} has no earlier release to return to; name one with --to")
            return commanding.return_to(
                loaded.tier,
                active,
                target,
                self._plan_for_return(tier),
                rollout_id=_new_id(),
                now=now,
                actor=actor,
                reason=reason or f"asked by {actor}",
            )

        return await self._carry_out(tier, obey)

    async def _last_stable_but_one(self, tier: str) -> Release | None:
        promoted = [r.release for r in await list_rollouts(self._database, tier, 50) if r.state.value == "promoted"]
        others = [release for release in promoted if release.name != promoted[0].name]
        return others[0] if others else None

    # --- Tiers and freezes --------------------------------------------------------------------------------------

    async def tiers(self) -> dict[str, Loaded]:
        names = self._controller.around.tiers
        found = await asyncio.gather(*(load(self._database, tier) for tier in names))
        return dict(zip(names, found, strict=True))

    def traffic(self, tier: str) -> Metered:
        """Of the last minutes. Raises NotFound, CommandRefused."""
        self._require_tier(tier)
        return self._controller.traffic.of(tier, self._plan_now(tier).analysis.level_history_min)

    async def freeze(self, tier: str, reason: str, actor: str) -> None:
        self._require_tier(tier)
        await freeze(self._database, tier, reason, actor, time.time())
        self._controller.wake()

    async def lift_freeze(self, tier: str, reason: str, actor: str) -> bool:
        self._require_tier(tier)
        lifted = await lift_freeze(self._database, tier, reason, actor, time.time())
        self._controller.wake()
        return lifted

    # --- How ----------------------------------------------------------------------------------------------------

    def _require_tier(self, tier: str) -> None:
        if tier not in self._controller.around.tiers:
            raise NotFound(f"no tier {tier}; the spec has {', '.join(self._controller.around.tiers)}")

    def _plan_for_return(self, tier: str) -> RolloutPlan:
        try:
            return self._plan_now(tier)
        except CommandRefused:
            return self._plan_known_good(tier)

    async def _carry_out(self, tier: str, act: Callable[[Loaded, float], Decided]) -> Rollout:
        leadership = self._controller.leadership
        if leadership is None:
            raise LostLeadership("this controller does not lead")
        async with self._controller.locks[tier]:
            loaded = await load(self._database, tier, leadership.term)
            now, clock = read_clocks()
            timed = on_clock(Decided(loaded.tier, loaded.active), now, clock)
            decided = act(replace(loaded, tier=timed.tier, active=timed.rollout), now)
            decided = replace(decided, entries=(*timed.entries, *decided.entries))
            webhooks = self._controller.around.webhooks
            await save(self._database, decided, term=leadership.term, now=now, webhooks=webhooks)
        self._controller.wake()
        return decided.running


def _new_id() -> str:
    """Sorts by time, and fits into names of replicas."""
    return f"r{time.strftime('%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
