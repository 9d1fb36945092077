"""Gateway workers: killed in mid-rollout, and told by hand to go to stable while all else is dead."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

import pytest

from ops.rollout.states import State
from ops.rollout.workers import WorkerError
from serving.contract import Arm, RouteState

REQUEST_SECONDS_MAX = 2.0
"""How long before the kill a request may have been sent that dies with its worker."""

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]


async def test_a_killed_worker_comes_back_on_stable_and_nothing_advances_until_it_is_brought_round(
    service: Any,
) -> None:
    stable = await service.stable()
    async with service.load() as load:
        rollout = await service.start("survives-a-worker", seed=31)
        await service.analysed(rollout, step=1)
        (epoch, *_) = {held.table.epoch for held in await service.tables()}
        # The controller is held, or it would bring the worker round before anybody could look.
        controller = service.pid("controller")
        os.kill(controller, signal.SIGSTOP)
        try:
            killed = time.time()
            service.kill("gateway-0")
            await service.eventually(lambda: came_back(service), "the worker does not come back")
            held = (await service.workers[0].state()).tiers[service.tier]
            assert [route.release for route in held.table.routes] == [stable]
        finally:
            os.kill(controller, signal.SIGCONT)
        ended = await service.reaches(rollout, State.PROMOTED)
        assert await service.all_on("survives-a-worker")

        journal = await service.client.journal(rollout.id)
        looks = await service.client.looks(rollout.id)
    assert any(look.look.decision == "blind" and look.at > killed for look in looks), "it was never blind"
    for line in journal:
        if line.entry.event in ("advance", "promote"):
            last = max((look for look in looks if look.at <= line.at), key=lambda look: look.at)
            assert last.look.decision == "advance", line
    renewed = [line.entry.payload["epoch"] for line in journal if line.entry.kind == "routes" and line.at > killed]
    assert min(renewed) > epoch
    assert ended.state is State.PROMOTED
    # What was on the wire to the killed worker is lost, and nothing else.
    assert all(killed - REQUEST_SECONDS_MAX < sample.at < killed + 1 for sample in load.failed), load.failed


async def came_back(service: Any) -> bool:
    with contextlib.suppress(WorkerError):
        return bool(service.tier in (await service.workers[0].state()).tiers)
    return False


async def test_break_glass_with_controller_and_database_dead_all_go_to_stable_at_once_until_somebody_resumes(
    service: Any,
) -> None:
    stable = await service.stable()
    async with service.load() as load:
        rollout = await service.start("stopped-by-hand", seed=32)
        await service.reaches(rollout, State.ANALYSING, step=1)
        await service.kill_for_good("controller")
        await service.kill_for_good("postgres")
        code, _, error = await service.ops("route", "stable", "--now", "--yes", "--reason", "smoke in the hall")
        told = time.time()
        assert code == 0, error
        assert [held.state for held in await service.tables()] == [RouteState.FORCED_STABLE] * 2
        await service.eventually(lambda: len(load.since(told)) > 100, "no answers")
        assert {sample.release for sample in load.since(told)} == {stable}

        await service.back("postgres")
        await service.back("controller")
        held = await service.reaches(rollout, State.SUSPENDED)
        assert held.needs_resume
        assert "smoke in the hall" in held.reason
        looked = await service.health()
        # It waits for a hand, tick after tick, though every worker follows the controller again.
        await service.eventually(lambda: ticked_since(service, looked), "the controller does not tick")
        assert (await service.client.rollout(rollout.id)).state is State.SUSPENDED
        assert await service.all_on(stable)
        code, _, error = await service.ops("canary", "resume", "--reason", "only toast")
        assert code == 0, error
        await service.analysed(rollout, step=1)
        assert (await service.client.rollout(rollout.id)).generation == 1
        assert all(held.table.route(Arm.CANARY).weight == 5000 for held in await service.tables())
    load.assert_none_failed()


async def ticked_since(service: Any, looked: dict[str, Any]) -> bool:
    """Five times and more."""
    health = await service.health()
    return bool(health and health["ticked_at"].get(service.tier, 0) > looked["ticked_at"].get(service.tier, 0) + 5)
