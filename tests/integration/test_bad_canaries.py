"""Canaries that turn bad while they serve, each in another way, and one that never serves: each goes back by itself."""

from __future__ import annotations

import contextlib
from typing import Any

import aiohttp
import pytest

from ops.rollout.states import State

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]


@pytest.mark.parametrize(
    ("faults", "events"),
    [
        ({"error_rate": 1.0}, {"failed"}),
        ({"cut_rate": 1.0}, {"cut", "failed"}),  # failed: those that were no streams
        ({"empty_rate": 1.0}, {"empty"}),
        ({"hang_rate": 1.0}, {"slow", "unanswered"}),
    ],
    ids=["answers-500", "cuts-streams", "answers-nothing", "hangs"],
)
async def test_a_canary_that_turns_bad_is_rolled_back_and_the_reason_names_how(
    service: Any, faults: dict[str, float], events: set[str]
) -> None:
    name = f"bad-{next(iter(faults)).replace('_', '-')}"
    async with service.load() as load:
        rollout = await service.start(name, seed=5)
        await service.analysed(rollout, step=0)
        await service.harm_canary(**faults)
        ended = await service.reaches(rollout, State.ROLLED_BACK)
        assert await service.all_on("first")
    looks = await service.client.looks(rollout.id)
    assert looks[-1].look.decision == "roll_back"
    named = {item.values.get("event") for item in looks[-1].look.verdict.evidence}
    assert named & events, ended.reason
    assert await service.stable() == "first"
    assert {sample.release for sample in load.failed} <= {name, ""}, "a request on stable failed"


async def test_a_canary_that_keeps_crashing_is_rolled_back(service: Any) -> None:
    async with service.load() as load:
        rollout = await service.start("crashes", seed=5)
        await service.analysed(rollout, step=0)

        async def crashed_to_its_end() -> bool:
            with contextlib.suppress(aiohttp.ClientError, KeyError):  # it is down just now, or has no weight any more
                await service.harm_canary(crash_after_seconds=0)
            return (await service.client.rollout(rollout.id)).state is State.ROLLED_BACK

        await service.eventually(crashed_to_its_end, "it is not rolled back")
    ended = await service.client.rollout(rollout.id)
    assert "'failed' events" in ended.reason or "keeps ending" in ended.reason, ended.reason
    assert {sample.release for sample in load.failed} <= {"crashes", ""}, "a request on stable failed"


async def test_a_canary_whose_engine_never_starts_is_rolled_back_with_its_last_words(service: Any) -> None:
    async with service.load() as load:
        name = await service.release("never-starts", arguments=("--max-model-len", "many"))
        rollout = await service.client.start(name, service.tier)
        ended = await service.reaches(rollout, State.ROLLED_BACK)
    assert "does not start" in ended.reason
    assert "--max-model-len" in ended.reason
    assert ended.looks == 0
    assert {sample.release for sample in load.samples} == {"first"}
    load.assert_none_failed()
