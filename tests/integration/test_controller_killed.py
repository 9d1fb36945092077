"""The controller is killed in every phase of a rollout, under load: the rollout comes to the same end, and no user
notices."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ops.rollout.states import State

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]


async def test_killed_in_every_phase_the_good_release_is_promoted(service: Any) -> None:
    async with service.load() as load:
        rollout = await service.start("killed-in-every-phase", seed=2)
        phases: list[tuple[State, int | None]] = [
            (State.PREPARING, None),
            (State.WARMING, None),
            (State.ANALYSING, 0),
            (State.ANALYSING, 1),
            (State.ANALYSING, 2),
            (State.PROMOTING, None),
        ]
        for state, step in phases:
            await service.reaches(rollout, state, step=step)
            service.kill("controller")
        ended = await service.reaches(rollout, State.PROMOTED)
        terms = (await service.health())["term"]
    assert ended.generation == 0, "it was away for less than the lease, so nothing was suspended"
    assert terms >= 1 + len(phases)
    assert await service.stable() == "killed-in-every-phase"
    assert await service.all_on("killed-in-every-phase")
    load.assert_none_failed()


async def test_killed_while_it_rolls_back_the_bad_release_goes_back_all_the_same(service: Any) -> None:
    before = await service.stable()
    async with service.load() as load:
        rollout = await service.start("killed-while-rolling-back")
        await service.analysed(rollout, step=0)
        # Those that hang keep it rolling back until they have timed out: long enough to be killed in.
        await service.harm_canary(error_rate=0.6, hang_rate=0.4)
        await service.reaches(rollout, State.ROLLING_BACK)
        service.kill("controller")
        ended = await service.reaches(rollout, State.ROLLED_BACK)
        assert await service.all_on(before)
    assert "fell on the canary" in ended.reason
    assert {sample.release for sample in load.failed} <= {"killed-while-rolling-back"}


async def test_away_for_longer_than_the_lease_users_are_on_stable_and_then_it_goes_on(service: Any) -> None:
    stable = await service.stable()
    async with service.load() as load:
        rollout = await service.start("resumed", seed=3)
        await service.reaches(rollout, State.ANALYSING, step=1)
        await service.kill_for_good("controller")
        gone = time.time()
        await service.eventually(lambda: len(load.since(gone + service.lease_seconds + 3)) > 100, "no answers")
        alone = load.since(gone + service.lease_seconds + 1)
        assert {sample.release for sample in alone} == {stable}
        await service.back("controller")
        ended = await service.reaches(rollout, State.PROMOTED)
    assert ended.generation == 1
    journal = [line.entry.to_state for line in await service.client.journal(rollout.id)]
    assert "suspended" in journal
    load.assert_none_failed()
