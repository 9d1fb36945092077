"""Whole stacks of real processes under load, and the means to harm them.

The spec is the reference one with shorter times and easier evidence, written into a temporary folder: a rollout takes
some twenty seconds instead of minutes, and nothing else differs from what users run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from ops.adapters.controller_client import ControllerClient, ControllerUnavailable
from ops.adapters.gateway_admin import GatewayAdmin, WorkerAddress
from ops.adapters.supervisord import Supervisor
from ops.demo.load import Load
from ops.loadtest.samples import Sample, read_samples
from ops.rollout.operating import ReleaseRequest
from ops.rollout.record import Rollout
from ops.rollout.states import ENDED, State
from ops.rollout.workers import WorkerError
from ops.stack.options import Choice, Counters, StackOptions
from ops.stack.running import stack
from ops.stack.state import Secrets, StackState, load_secrets
from serving.contract import Arm, TierState, WorkerState

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.05
LEASE_SECONDS = 6.0
TIER = "production"
RATE = 100.0
OUTPUT_TOKENS = (8, 16, 24)
LOAD_SECONDS_MAX = 600.0
SEED = 1
"""Of ``ops.demo.load``'s generator."""

Condition = Callable[[], object] | Callable[[], Awaitable[object]]


def fast_spec(path: Path, webhook: str) -> Path:
    """The reference spec at the pace of a test, with one webhook."""
    spec = yaml.safe_load((ROOT / "gratefulgpt.yaml").read_text())
    for environment in spec["environments"].values():
        environment["pace"] = {
            "look_seconds": 0.5,
            "step_seconds_min": 2,
            "step_seconds_max": 120,
            "bake_seconds": 2,
            "rollback_window_seconds": 600,
        }
    for task_class in spec["task_classes"].values():  # a request that hangs fails while the test still looks
        task_class["timeout_seconds"] = 8
    spec["api"]["limits"] |= {"queue_timeout_seconds": 3, "connect_timeout_seconds": 1}
    rollout = spec["rollout"]
    rollout |= {"lease_seconds": LEASE_SECONDS, "prepare_seconds_max": 60, "drain_seconds_max": 10}
    rollout["warmup"] |= {"requests_per_replica": 4, "seconds_max": 30}
    rollout["analysis"] |= {"false_rollback_rate_max": 0.05, "false_promotion_rate_max": 0.4}
    rollout["analysis"] |= {"requests_per_step_min": 15, "level_history_min": 8}
    # With margins this wide little can be demanded; what a start refuses has a test of its own.
    rollout["analysis"]["detection"] |= {"slower": [], "errors": []}
    events = rollout["analysis"]["events"]
    for rule in events.values():
        if "tolerated_rate" in rule:
            rule |= {"tolerated_rate": 0.2, "budget_rate": 0.3}
            rule.pop("budget_burn", None)
    # The machine is small and busy: what is a little slower by chance must not decide these tests.
    events["slow"] |= {"margin": 1.5, "harm": 6}
    events["slow_first_token"]["role"] = events["slow_tokens"]["role"] = "watched"
    rollout["quality"] |= {"record_seconds_max": 60, "probe_every_seconds": 2, "answer_tokens": 16}
    spec["alerting"]["evaluation_seconds"] = 2
    spec["notifications"]["webhooks"] = [{"name": "receiver", "url": webhook}]
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


async def eventually(condition: Condition, words: str | Callable[[], str], seconds: float = DEADLINE_SECONDS) -> Any:
    """What ``condition`` answers, once that is true. A controller that is away has answered nothing."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = condition()
            found = await found if asyncio.iscoroutine(found) else found
        except ControllerUnavailable:
            found = None
        if found:
            return found
        if time.monotonic() >= deadline:
            said = words if isinstance(words, str) else words()
            pytest.fail(f"waited {seconds:g} s in vain: {said}")
        await asyncio.sleep(POLL_SECONDS)


@dataclass
class Watched:
    """Load that runs, and what came of its requests."""

    load: Load
    path: Path
    samples: list[Sample] = field(default_factory=list)

    def read(self) -> list[Sample]:
        """All requests that have ended so far."""
        self.load.read()
        self.samples = list(self.load.samples)
        return self.samples

    def since(self, at: float) -> list[Sample]:
        """Those meant to be sent at ``at`` (Unix seconds) or later, if they have ended."""
        return [sample for sample in self.read() if sample.at >= at]

    @property
    def failed(self) -> list[Sample]:
        return [sample for sample in self.samples if not sample.ok]

    def assert_none_failed(self) -> None:
        """After the load has ended."""
        assert self.samples, "nothing was sent"
        assert not self.failed, f"{len(self.failed)} of {len(self.samples)} failed (seed {SEED}): {self.failed[:5]}"


@dataclass
class Service:
    """A running stack."""

    folder: Path
    run_dir: Path
    state: StackState
    secrets: Secrets
    client: ControllerClient
    session: aiohttp.ClientSession
    workers: tuple[GatewayAdmin, ...]
    supervisor: Supervisor
    told: list[dict[str, Any]]
    """What the webhook got."""
    lease_seconds: float = LEASE_SECONDS
    tier: str = TIER
    eventually = staticmethod(eventually)

    # --- Releases and rollouts ----------------------------------------------------------------------------------

    def model_folder(self, name: str) -> Path:
        return self.folder / "models" / name

    async def release(self, name: str, arguments: tuple[str, ...] = (), **profile: object) -> str:
        """A simulated release with this profile, registered. ``faults`` is a part of it."""
        home = self.model_folder(name)
        home.mkdir(parents=True, exist_ok=True)
        (home / "simulated.json").write_text(json.dumps(profile))
        await self.client.add_release(ReleaseRequest(name, TIER, "simulated", str(home), arguments=arguments))
        return name

    async def start(self, name: str, **profile: Any) -> Rollout:
        """A rollout of a new release."""
        return await self.client.start(await self.release(name, **profile), TIER)

    async def reaches(
        self, rollout: Rollout, *states: State, step: int | None = None, client: ControllerClient | None = None
    ) -> Rollout:
        """The rollout once it is in one of ``states`` with the served step, if one is given. Fails if it ends first."""
        last, asked = rollout, client or self.client

        async def there() -> bool:
            nonlocal last
            last = await asked.rollout(rollout.id)
            return last.state in ENDED or (last.state in states and step in (None, last.served_step))

        wanted = f"{' or '.join(states)}{'' if step is None else f' serving step {step}'}"
        await eventually(there, lambda: f"{rollout.id} is {last.state}, not {wanted}: {last.reason}")
        assert last.state in states, f"{rollout.id} ended {last.state}, not {wanted}: {last.reason}"
        return last

    async def at_rest(self) -> None:
        """With every program up and without a rollout, whatever the test before has left."""
        for name, process in self.supervisor.processes().items():
            if process.pid == 0 and not name.startswith("replica-"):  # replicas are the controller's to start and end
                await self.back(name)

        async def no_rollout() -> bool:
            active = (await self.client.tiers())[TIER].active
            if active is not None and active.state not in (State.ROLLING_BACK, State.PROMOTING):
                await self.client.command(active.id, "rollback", "left by the test before")
            return active is None

        await eventually(no_rollout, "a rollout of the test before does not end")

    async def stable(self) -> str | None:
        loaded = (await self.client.tiers())[TIER]
        return loaded.tier.stable.release.name if loaded.tier.stable else None

    async def health(self, url: str | None = None) -> dict[str, Any]:
        """Of a controller; empty if none answers."""
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with self.session.get((url or self.state.controller_url) + "/health", timeout=timeout) as response:
                return dict(await response.json())
        except (aiohttp.ClientError, TimeoutError):
            return {}

    async def leads(self, url: str | None = None) -> bool:
        """Whether the controller there says that it does."""
        return (await self.health(url)).get("status") == "leading"

    # --- Workers ------------------------------------------------------------------------------------------------

    async def worker_states(self) -> list[WorkerState]:
        """Of those that answer."""
        found = await asyncio.gather(*(worker.state() for worker in self.workers), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, WorkerError):
                raise one
        return [one for one in found if isinstance(one, WorkerState)]

    async def tables(self) -> list[TierState]:
        return [state.tiers[TIER] for state in await self.worker_states() if TIER in state.tiers]

    async def all_on(self, release: str) -> bool:
        """Whether every worker follows a table that sends everything to ``release``, without a lease."""
        tables = await self.tables()
        return len(tables) == len(self.workers) and all(
            held.table.lease_seconds is None and [route.release for route in held.table.routes] == [release]
            for held in tables
        )

    async def analysed(self, rollout: Rollout, **how: Any) -> None:
        """Waits until the rollout is analysed and every worker, which is told after it is saved, serves its canary."""
        await self.reaches(rollout, State.ANALYSING, **how)

        async def served() -> bool:
            tables = await self.tables()
            return len(tables) == len(self.workers) and all(
                any(route.arm is Arm.CANARY for route in held.table.routes) for held in tables
            )

        await self.eventually(served, "a worker has no route to the canary")

    # --- Operators ----------------------------------------------------------------------------------------------

    async def ops(self, *arguments: str) -> tuple[int, str, str]:
        """The command line on this stack: exit code, stdout, stderr."""
        line = [sys.executable, "-m", "ops.cli.main", *arguments, "--run-dir", str(self.run_dir)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*line, cwd=ROOT, stdout=pipe, stderr=pipe)
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
        return process.returncode or 0, out.decode(), err.decode()

    # --- Faults -------------------------------------------------------------------------------------------------

    async def harm_canary(self, **faults: object) -> None:
        """The engines of the canary misbehave from now on."""
        (held, *_) = await self.tables()
        for endpoint in held.table.route(Arm.CANARY).endpoints:
            async with self.session.put(endpoint.url + "/simulated/faults", json=faults) as response:
                assert response.status == 200, await response.text()

    @asynccontextmanager
    async def damaging_replicas(self, arm: str, **faults: object) -> AsyncIterator[None]:
        """Each replica of the arm that starts meanwhile has these faults as soon as it listens."""
        harmed: set[str] = set()

        async def watch() -> None:
            while True:
                for path in (self.state.folder.run_dir / "replicas").glob(f"*-{arm}-*.json"):
                    if path.name not in harmed:
                        with contextlib.suppress(OSError, ValueError, aiohttp.ClientError):
                            url = f"http://127.0.0.1:{json.loads(path.read_text())['port']}/simulated/faults"
                            async with self.session.put(url, json=faults) as response:
                                assert response.status == 200, await response.text()
                            harmed.add(path.name)
                await asyncio.sleep(POLL_SECONDS)

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert harmed, f"no replica of the {arm} started"

    def pid(self, program: str) -> int:
        """Of the program itself, below its guard."""
        guard = self.supervisor.processes()[program].pid
        return int(psutil.Process(guard).children()[0].pid)

    def kill(self, program: str) -> None:
        """``kill -9``; supervisord starts it again."""
        os.kill(self.pid(program), signal.SIGKILL)

    async def kill_for_good(self, program: str) -> None:
        """``kill -9``, and it stays away until ``back``."""
        killed = self.supervisor.processes()[program].pid
        self.kill(program)

        def runs_again() -> bool:
            guard = self.supervisor.processes()[program].pid
            with contextlib.suppress(psutil.NoSuchProcess):
                return guard not in (0, killed) and bool(psutil.Process(guard).children())
            return False

        # A stop that reaches supervisord's fork before it has become the guard is lost, and the program lives on.
        await eventually(runs_again, f"{program} is not started again")
        await asyncio.to_thread(self.supervisor.stop, program)
        await eventually(lambda: self.supervisor.processes()[program].pid == 0, f"{program} does not end")

    async def back(self, program: str) -> None:
        await asyncio.to_thread(self.supervisor.start, program)

    # --- Load ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def load(self, rate: float = RATE) -> AsyncIterator[Watched]:
        """Open-loop load from here on. After the block ``samples`` holds every request that was sent."""
        path = self.folder / f"samples-{time.monotonic_ns()}.jsonl"
        load = Load(self.state.gateway_url, "gratefulgpt-7b", rate, LOAD_SECONDS_MAX, path, OUTPUT_TOKENS)
        async with load:
            watched = Watched(load, path)
            await eventually(lambda: len(watched.read()) >= 2 * rate, "the load does not start")
            yield watched
        watched.samples = read_samples(path)[0]


@asynccontextmanager
async def receiver(told: list[dict[str, Any]]) -> AsyncIterator[str]:
    """Takes what a webhook sends, at the URL given."""

    async def take(request: web.Request) -> web.Response:
        told.append(await request.json())
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.post("/", take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(folder: Path, counters: Counters = Counters.DIRECT) -> AsyncIterator[Service]:
    """A stack whose tier serves the release ``first``."""
    async with AsyncExitStack() as around:
        told: list[dict[str, Any]] = []
        spec = fast_spec(folder / "spec.yaml", await around.enter_async_context(receiver(told)))
        prometheus = Choice.ON if counters is Counters.PROMETHEUS else Choice.OFF
        options = StackOptions(run_dir=folder / "run", spec=spec, port=0, prometheus=prometheus, counters=counters)
        state = await around.enter_async_context(stack(options))
        secrets = load_secrets(options.run_dir)
        session = await around.enter_async_context(aiohttp.ClientSession())
        client = await around.enter_async_context(
            ControllerClient(state.controller_url, secrets.admin_key, actor="tester")
        )
        workers = tuple(
            GatewayAdmin(session, WorkerAddress(worker.name, worker.admin_url), secrets.admin_key)
            for worker in state.workers
        )
        supervisor = Supervisor(state.folder)
        service = Service(folder, options.run_dir, state, secrets, client, session, workers, supervisor, told)
        await service.reaches(await service.start("first", seed=1), State.PROMOTED)
        yield service


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with running(tmp_path_factory.mktemp("stack")) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def prometheus_service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A stack whose judge reads Prometheus."""
    async with running(tmp_path_factory.mktemp("prometheus"), Counters.PROMETHEUS) as one:
        yield one


@pytest_asyncio.fixture(autouse=True, loop_scope="package")
async def _at_rest(request: pytest.FixtureRequest) -> None:
    """One test's failure is no other's."""
    if "service" in request.fixturenames:
        await request.getfixturevalue("service").at_rest()
