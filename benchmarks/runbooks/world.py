"""A live stack with load, in which things can be broken on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from benchmarks.runbooks.pager import Pager, pager
from benchmarks.runbooks.shortening import shortened
from ops.adapters.controller_client import ControllerClient, ControllerError
from ops.adapters.hanging import go_on, hang
from ops.adapters.simulated_faults import set_faults
from ops.adapters.spec_file import load_spec
from ops.adapters.supervisord import Supervisor
from ops.demo.load import Load
from ops.rollout.operating import ReleaseRequest
from ops.rollout.record import Rollout
from ops.rollout.states import ENDED, State
from ops.stack.options import Choice, StackOptions
from ops.stack.replicas import stack_replicas
from ops.stack.running import stack
from ops.stack.state import StackState, load_secrets

ROOT = Path(__file__).parents[2]
TIER, OTHER = "production", "edge"
"""Faults meet the first; the second is well all the time, so that a tier's outage is not the service's."""
RATE = 10.0
"""Requests a second to each tier."""
OUTPUT_TOKENS = (16, 32)
LOAD_SECONDS_MAX = 7200.0
POLL_SECONDS = 0.25
ROLLOUT_SECONDS_MAX = 180.0


class WorldBroken(Exception):
    """What was to be shown could not be set up: nothing has been shown."""


@dataclass
class World:
    folder: Path
    """Where commands run: the stack's folder ``.stack`` and the spec are in it."""
    state: StackState
    client: ControllerClient
    session: aiohttp.ClientSession
    pager: Pager
    releases: int = 0
    stopped: list[psutil.Process] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    @property
    def prometheus_url(self) -> str:
        """Raises WorldBroken."""
        if self.state.prometheus_url is None:
            raise WorldBroken("the stack has no Prometheus")
        return self.state.prometheus_url

    @property
    def alertmanager_url(self) -> str:
        """Raises WorldBroken."""
        if self.state.alertmanager_url is None:
            raise WorldBroken("the stack has no Alertmanager")
        return self.state.alertmanager_url

    async def release(self, tier: str, **profile: object) -> None:
        """A new release becomes the tier's stable one, past the judge. Raises WorldBroken."""
        await self.rollout_ends(tier)
        started = await self._started(tier, profile)
        asked = False
        deadline = time.monotonic() + ROLLOUT_SECONDS_MAX
        while (rollout := await self.client.rollout(started.id)).state not in ENDED:
            if time.monotonic() > deadline:
                raise WorldBroken(f"{started.release.name} does not go out: {rollout.state}: {rollout.reason}")
            if rollout.state is State.ANALYSING and not asked:
                await self.client.command(started.id, "promote", "the proof of a runbook needs two releases")
                asked = True
            await asyncio.sleep(POLL_SECONDS)
        if rollout.state is not State.PROMOTED:
            raise WorldBroken(f"{started.release.name} is {rollout.state}: {rollout.reason}")

    async def rollout_begins(self, tier: str) -> None:
        """A new release goes out and serves its first step. Raises WorldBroken."""
        await self.rollout_ends(tier)
        started = await self._started(tier, {})
        deadline = time.monotonic() + ROLLOUT_SECONDS_MAX
        while not (rollout := await self.client.rollout(started.id)).serves:
            if rollout.state in ENDED or time.monotonic() > deadline:
                raise WorldBroken(f"{started.release.name} does not serve: {rollout.state}: {rollout.reason}")
            await asyncio.sleep(POLL_SECONDS)

    async def rollout_ends(self, tier: str) -> None:
        """One that is under way is rolled back. Raises WorldBroken."""
        asked = False
        deadline = time.monotonic() + ROLLOUT_SECONDS_MAX
        while (active := await self._active(tier)) is not None:
            if time.monotonic() > deadline:
                raise WorldBroken(f"{active.release.name} does not come back: {active.state}: {active.reason}")
            if not asked:
                with contextlib.suppress(ControllerError):  # it ends by itself just now
                    await self.client.command(active.id, "rollback", "the incident is over")
                asked = True
            await asyncio.sleep(POLL_SECONDS)

    async def _active(self, tier: str) -> Rollout | None:
        found = (await self.client.tiers()).get(tier)
        return found.active if found else None

    async def _started(self, tier: str, profile: dict[str, object]) -> Rollout:
        self.releases += 1
        name = f"{tier}-{self.releases}"
        home = self.folder / "models" / name
        home.mkdir(parents=True)
        (home / "simulated.json").write_text(json.dumps({"seed": self.releases, **profile}))
        await self.client.add_release(ReleaseRequest(name, tier, "simulated", str(home)))
        return await self.client.start(name, tier, accept_blind_spots=True)

    async def serving(self, tier: str) -> tuple[str, ...]:
        """The names of the replicas of the tier's stable release. Raises WorldBroken."""
        fleet = (await self.client.tiers())[tier].tier.stable
        if fleet is None or not fleet.replicas:
            raise WorldBroken(f"{tier} has no engines to harm")
        return tuple(one.name for one in fleet.replicas)

    async def faults(self, tier: str, **rates: float | bool) -> None:
        """On each engine that serves the tier's stable release; without rates they are taken back. Raises
        WorldBroken, FaultsError."""
        serving = await self.serving(tier)
        found = await stack_replicas(self.state, self.session).observe(tier)
        urls = [one.url for one in found if one.name in serving]
        for url in urls:
            await asyncio.to_thread(set_faults, url, rates)

    def hang(self, program: str) -> None:
        """The program lives and does nothing more. Raises HangingError."""
        self.stopped += hang(Supervisor(self.state.folder), program)

    async def end(self, program: str) -> None:
        """The program ends, and nobody starts it again."""
        await asyncio.to_thread(Supervisor(self.state.folder).stop, program)
        self.ended.append(program)

    def let_go(self) -> None:
        """What hangs still goes on, and what has ended still is started."""
        for program in self.ended:
            Supervisor(self.state.folder).start(program)
        self.ended.clear()
        go_on(self.stopped)
        self.stopped.clear()


@asynccontextmanager
async def world(folder: Path, factor: int, rate: float = RATE) -> AsyncIterator[World]:
    """Two tiers under load, the faulty one with a former release to go back to."""
    async with AsyncExitStack() as around:
        told = await around.enter_async_context(pager())
        spec_path = folder / "gratefulgpt.yaml"
        spec_path.write_text(shortened(ROOT / "gratefulgpt.yaml", told.url, factor), encoding="utf-8")
        models = {name: tier.model for name, tier in load_spec(spec_path).tiers.items()}
        options = StackOptions(
            run_dir=folder / ".stack", spec=spec_path, port=0, prometheus=Choice.ON, alertmanager=Choice.ON
        )
        state = await around.enter_async_context(stack(options))
        secrets = load_secrets(options.run_dir)
        session = await around.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)))
        client = await around.enter_async_context(ControllerClient(state.controller_url, secrets.admin_key, "proof"))
        found = World(folder, state, client, session, told)
        around.callback(found.let_go)
        await asyncio.gather(found.release(TIER), found.release(OTHER))
        for tier in (TIER, OTHER):
            samples = folder / f"{tier}.jsonl"
            load = Load(state.gateway_url, models[tier], rate, LOAD_SECONDS_MAX, samples, OUTPUT_TOKENS)
            await around.enter_async_context(load)
        await found.release(TIER)
        yield found
