"""A real Prometheus beside real gateway workers: what it gives the judge is what the workers give."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from ops.adapters.gateway_admin import GatewayAdmin, WorkerAddress
from ops.adapters.prometheus import PrometheusCounters
from ops.adapters.spec_file import load_spec
from ops.judge.counting import difference
from ops.judge.judging import look
from ops.judge.model import Decision, JudgeState, Look, Situation
from ops.rollout.plan import AnalysisPlan
from ops.rollout.planning import rollout_plan
from ops.rollout.workers import WorkersSeen, see_workers
from ops.stack.options import Choice, Counters, Omitted, StackOptions
from ops.stack.running import stack
from ops.stack.state import load_secrets
from serving.contract import Arm, CounterSnapshot, Endpoint, Route, RoutingTable

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.1
LOOK_SECONDS = 0.5
TIER = "production"
BURSTS = 8
BURST = 24


@dataclass
class Rig:
    url: str
    workers: tuple[GatewayAdmin, ...]
    source: PrometheusCounters
    session: aiohttp.ClientSession
    stable: str
    canary: str
    plan: AnalysisPlan
    epoch: int = 0

    async def new_epoch(self) -> None:
        """Half of the requests on a canary that fails each second one."""
        self.epoch += 1
        routes = (
            Route(Arm.STABLE, "r1", 5_000, (Endpoint("stable-0", self.stable),), "v1"),
            Route(Arm.CANARY, "r2", 5_000, (Endpoint("canary-0", self.canary),), "v1"),
        )
        table = RoutingTable(TIER, self.epoch, routes, lease_seconds=300.0)
        answers = [await worker.put(table) for worker in self.workers]
        assert all(answer.refusal is None for answer in answers)

    async def send(self, count: int) -> None:
        async def one(number: int) -> None:
            body = {"model": "gratefulgpt-7b", "messages": [{"role": "user", "content": f"{number}"}], "max_tokens": 9}
            async with self.session.post(f"{self.url}/v1/chat/completions", json=body) as answer:
                await answer.read()

        await asyncio.gather(*(one(number) for number in range(count)))

    async def see(self) -> WorkersSeen:
        return await see_workers(self.workers, self.source)

    async def settled(self) -> WorkersSeen:
        """Once every request is over, and Prometheus has seen as much as the workers say."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            seen = await self.see()
            cells = [cell for snapshot in seen.snapshots for cell in snapshot.cells]
            over = all(cell.assigned == cell.finished for cell in cells)
            if over and counts(seen.snapshots) == counts(seen.counted or ()):
                return seen
            assert time.monotonic() < deadline, f"not the same within {DEADLINE_SECONDS} s: {seen.uncounted}"
            await asyncio.sleep(POLL_SECONDS)


@dataclass
class Judge:
    """Of one source."""

    rig: Rig
    state: JudgeState = field(default_factory=JudgeState)
    looks: list[Look] = field(default_factory=list)

    def look(self, snapshots: tuple[CounterSnapshot, ...], faults: Mapping[str, str]) -> Look:
        found = difference(
            self.state.bases,
            snapshots,
            workers=[worker.name for worker in self.rig.workers],
            tier=TIER,
            epoch=self.rig.epoch,
            now=time.time(),
            age_seconds_max=self.rig.plan.samples_age_seconds_max,
            faults=faults,
        )
        situation = Situation(1, self.rig.epoch, Arm.STABLE, 1, 1, 5.0, 60.0)
        self.state, answer = look(self.state, found, situation, self.rig.plan)
        self.looks.append(answer)
        return answer


def counts(snapshots: tuple[CounterSnapshot, ...]) -> dict[str, object]:
    """By worker, whatever the order of the cells: all that is counted and whose it is, without the time."""
    return {
        one.worker: (one.instance, {(c.tier, c.arm, c.epoch, c.task_class, c.stratum): c for c in one.cells})
        for one in snapshots
    }


@asynccontextmanager
async def engine(failing: bool) -> AsyncIterator[str]:
    asked = 0

    async def serve(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if failing and asked % 2:
            return web.json_response({"error": {"message": "no", "type": "x", "code": 500}}, status=500)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Dark Star"}}
        answer: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        return web.json_response(answer | {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("rig")
    raw = yaml.safe_load((ROOT / "gratefulgpt.yaml").read_text())
    raw["environments"]["development"]["pace"]["look_seconds"] = LOOK_SECONDS
    spec = folder / "spec.yaml"
    spec.write_text(yaml.safe_dump(raw, sort_keys=False))
    options = StackOptions(
        run_dir=folder / "run",
        spec=spec,
        port=0,
        prometheus=Choice.ON,
        counters=Counters.PROMETHEUS,
        without=frozenset({Omitted.CONTROLLER, Omitted.DATABASE}),
    )
    plan = rollout_plan(load_spec(spec), "development", TIER).analysis
    async with AsyncExitStack() as around:
        state = await around.enter_async_context(stack(options))
        key = load_secrets(options.run_dir).admin_key
        session = await around.enter_async_context(aiohttp.ClientSession())
        assert state.prometheus_url is not None
        source = PrometheusCounters(state.prometheus_url, job="gateway", age_seconds_max=plan.samples_age_seconds_max)
        around.callback(source.close)
        yield Rig(
            state.gateway_url,
            tuple(GatewayAdmin(session, WorkerAddress(w.name, w.admin_url), key) for w in state.workers),
            source,
            session,
            await around.enter_async_context(engine(failing=False)),
            await around.enter_async_context(engine(failing=True)),
            plan,
        )


async def test_on_the_same_counts_both_sources_come_to_the_same_look_to_the_last_digit(rig: Rig) -> None:
    await rig.new_epoch()
    direct, prometheus = Judge(rig), Judge(rig)
    for _ in range(BURSTS):
        await rig.send(BURST)
        seen = await rig.settled()
        one = direct.look(seen.snapshots, {})
        assert prometheus.look(seen.counted or (), seen.uncounted) == one
        assert one.decision is not Decision.BLIND, one.verdict.evidence
    assert direct.looks[-1].decision is Decision.ROLL_BACK, direct.looks[-1]
    assert direct.state.canary_whole.assigned + direct.state.reference_step.assigned == BURSTS * BURST
    assert replace(direct.state, bases={}) == replace(prometheus.state, bases={})


async def test_under_way_both_come_to_the_same_decision_and_nothing_is_lost(rig: Rig) -> None:
    await rig.new_epoch()
    direct, prometheus = Judge(rig), Judge(rig)

    async def load() -> None:
        for _ in range(4 * BURSTS):
            await rig.send(BURST // 4)
            await asyncio.sleep(POLL_SECONDS)

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(load())
        while not sending.done():
            seen = await rig.see()
            direct.look(seen.snapshots, {})
            prometheus.look(seen.counted or (), seen.uncounted)
            await asyncio.sleep(LOOK_SECONDS)
    seen = await rig.settled()
    direct.look(seen.snapshots, {})
    prometheus.look(seen.counted or (), seen.uncounted)

    def decided(judge: Judge) -> list[Decision]:
        return list(dict.fromkeys(one.decision for one in judge.looks))

    assert decided(direct)[-1] is Decision.ROLL_BACK
    assert [d for d in decided(prometheus) if d is not Decision.BLIND] == decided(direct)
    assert prometheus.state.canary_whole == direct.state.canary_whole
    assert prometheus.state.reference_step == direct.state.reference_step
