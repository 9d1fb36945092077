"""Several controllers: one leads, whatever happens to it; what a deposed one still wants changes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ops.adapters.controller_client import ControllerClient
from ops.rollout.states import State

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]


@dataclass
class Second:
    """A controller beside the supervised one."""

    url: str
    client: ControllerClient


@pytest_asyncio.fixture(loop_scope="package")
async def second(service: Any) -> AsyncIterator[Second]:
    """Stands by when the test begins; after it the supervised one leads again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [sys.executable, "-m", "ops.cli.main", "controller", "run", "--port", str(port)]
    with (service.folder / "second.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *line, "--run-dir", str(service.run_dir), cwd=ROOT, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        async with ControllerClient(url, service.secrets.admin_key, actor="tester") as client:
            await service.eventually(lambda: service.health(url), "the second controller does not answer")
            await service.eventually(service.leads, "the first does not lead")
            yield Second(url, client)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
    await service.eventually(service.leads, "the first does not lead again")


async def test_of_two_starts_at_once_from_two_command_lines_one_is_carried_out(service: Any) -> None:
    names = [await service.release("at-once-a", seed=6), await service.release("at-once-b", seed=7)]
    answers = await asyncio.gather(*(service.ops("canary", "start", name) for name in names))
    assert sorted(code for code, _, _ in answers) == [0, 2], answers
    (refusal,) = [error for code, _, error in answers if code == 2]
    assert "wait for its end" in refusal
    assert sum(rollout.release.name in names for rollout in await service.client.rollouts()) == 1


async def test_a_standby_obeys_no_command_and_takes_over_when_the_leader_is_killed(
    service: Any, second: Second
) -> None:
    assert (await service.health(second.url))["status"] == "standby"
    release = await service.release("taken-over", seed=8)
    headers = {"authorization": f"Bearer {service.secrets.admin_key}", "x-actor": "tester"}
    body = {"release": release}
    async with service.session.post(second.url + "/v1/rollouts", json=body, headers=headers) as response:
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "not_leading"

    async with service.load() as load:
        rollout = await service.client.start(release, service.tier)
        await service.reaches(rollout, State.ANALYSING, step=0)
        before = (await service.health())["term"]
        await service.kill_for_good("controller")
        await service.eventually(lambda: service.leads(second.url), "the second does not take over")
        assert (await service.health(second.url))["term"] == before + 1
        await service.reaches(rollout, State.PROMOTED, client=second.client)
        await service.back("controller")
        await service.eventually(service.health, "the first does not come back")
        assert (await service.health())["status"] == "standby"
    load.assert_none_failed()


async def test_a_leader_that_hangs_is_deposed_and_changes_nothing_when_it_wakes_up(
    service: Any, second: Second
) -> None:
    async with service.load() as load:
        rollout = await service.start("outlives-a-hang", seed=9)
        await service.reaches(rollout, State.ANALYSING, step=0)
        hanging = service.pid("controller")
        os.kill(hanging, signal.SIGSTOP)
        try:
            await service.eventually(lambda: service.leads(second.url), "the second does not take over")
            term = (await service.health(second.url))["term"]
            await service.reaches(rollout, State.ANALYSING, client=second.client)
        finally:
            os.kill(hanging, signal.SIGCONT)
        await service.eventually(lambda: _stands_by(service), "the first still thinks that it leads")
        await service.reaches(rollout, State.PROMOTED, client=second.client)
        assert await service.all_on("outlives-a-hang")
    health = await service.health(second.url)
    assert (health["status"], health["term"]) == ("leading", term)
    assert service.pid("controller") == hanging, "it did not end, it stood back"
    load.assert_none_failed()


async def _stands_by(service: Any) -> bool:
    return bool((await service.health()).get("status") == "standby")
