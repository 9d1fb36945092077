"""PostgreSQL is killed: users notice nothing, operators are told, rollouts wait and then go on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ops.rollout.states import State

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]


async def test_down_in_mid_rollout_users_go_back_to_stable_and_the_rollout_goes_on_later(service: Any) -> None:
    stable = await service.stable()
    async with service.load() as load:
        rollout = await service.start("waits-for-the-database", seed=11)
        await service.reaches(rollout, State.ANALYSING, step=1)
        await service.kill_for_good("postgres")
        gone = time.time()
        status, code, message = await command(service, rollout.id, "pause")
        assert (status, code) == (503, "no_database"), message
        assert "database" in message
        # Longer than the lease, with a margin for the renewal that was just under way.
        at_home = gone + service.lease_seconds + 2
        await service.eventually(lambda: len(load.since(at_home)) > 100, "no answers")
        alone = load.since(at_home)
        assert {sample.release for sample in alone} == {stable}
        await service.back("postgres")
        ended = await service.reaches(rollout, State.PROMOTED)
    journal = [line.entry.to_state for line in await service.client.journal(rollout.id)]
    assert "suspended" in journal
    assert ended.generation == 1
    load.assert_none_failed()


async def test_killed_while_nothing_goes_out_it_comes_back_and_so_does_the_controller(service: Any) -> None:
    before = (await service.health())["term"]
    async with service.load() as load:
        service.kill("postgres")
        await service.eventually(lambda: led_again(service, before), "nobody leads again")
        rollout = await service.start("after-a-crash-of-the-database", seed=12)
        await service.reaches(rollout, State.ANALYSING, step=0)
        await service.client.command(rollout.id, "rollback", "seen enough")
        await service.reaches(rollout, State.ROLLED_BACK)
    load.assert_none_failed()


async def led_again(service: Any, before: int) -> bool:
    health = await service.health()
    return bool(health.get("status") == "leading" and health["term"] > before)


async def command(service: Any, rollout: str, verb: str) -> tuple[int, str, str]:
    """One try: status, code and message."""
    url = f"{service.state.controller_url}/v1/rollouts/{rollout}/{verb}"
    headers = {"authorization": f"Bearer {service.secrets.admin_key}", "x-actor": "tester"}
    async with service.session.post(url, json={}, headers=headers) as response:
        error = (await response.json())["error"]
        return response.status, error["code"], error["message"]
