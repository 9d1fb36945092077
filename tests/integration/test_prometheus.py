"""A stack whose judge reads Prometheus: releases go out by it, and nothing goes out while it is away."""

from __future__ import annotations

from typing import Any

import pytest

from ops.rollout.states import State

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]


async def test_by_prometheus_a_good_release_is_promoted_and_one_that_fails_is_rolled_back(
    prometheus_service: Any,
) -> None:
    service = prometheus_service
    async with service.load():
        good = await service.start("good-by-prometheus", seed=21)
        await service.reaches(good, State.PROMOTED)
        bad = await service.start("bad-by-prometheus", seed=22)
        await service.analysed(bad)
        await service.harm_canary(error_rate=0.5)
        await service.reaches(bad, State.ROLLED_BACK)
    code, out, err = await service.ops("canary", "replay", good.id)
    assert code == 0, out + err


async def test_a_prometheus_that_is_away_blinds_and_the_rollout_goes_on_when_it_is_back(
    prometheus_service: Any,
) -> None:
    service = prometheus_service
    async with service.load() as load:
        rollout = await service.start("waits-for-prometheus", seed=23)
        await service.reaches(rollout, State.ANALYSING, step=0)
        await service.kill_for_good("prometheus")

        async def blind() -> bool:
            _, out, _ = await service.ops("canary", "show", rollout.id)
            return "Prometheus cannot be reached" in out

        await service.eventually(blind, "the reason is not told")
        await service.back("prometheus")
        await service.reaches(rollout, State.PROMOTED)
    load.assert_none_failed()
