"""Models that no counter tells apart: answers complete, valid and wrong. The probe finds them, at any time."""

from __future__ import annotations

from typing import Any

import pytest

from ops.rollout.states import State

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]

DAMAGE_NATS = 0.4


async def recorded(service: Any, name: str) -> None:
    async def there() -> bool:
        return (await service.client.transcript_status(name)).state == "recorded"

    await service.eventually(there, f"the transcript of {name} is not recorded")


async def weights_of_canary(service: Any, rollout: Any) -> list[int]:
    lines = await service.client.journal(rollout.id)
    return [line.entry.payload["weights"].get("canary", 0) for line in lines if line.entry.kind == "routes"]


async def test_a_canary_that_is_damaged_before_it_serves_gets_no_weight(service: Any) -> None:
    name = await service.release("damaged-at-start", seed=31)
    await recorded(service, name)
    # The files are as registered; what runs is not: a fault of the machine, say. It begins with the replica.
    async with service.damaging_replicas("canary", damaged=DAMAGE_NATS):
        rollout = await service.client.start(name, service.tier)
        ended = await service.reaches(rollout, State.ROLLED_BACK)
    assert "damaged weights on" in ended.reason
    assert "tokens of its own transcript" in ended.reason
    assert sum(await weights_of_canary(service, rollout)) == 0


async def test_a_canary_that_becomes_damaged_while_it_serves_is_rolled_back(service: Any) -> None:
    async with service.load() as load:
        rollout = await service.start("damaged-later", seed=32)
        await service.analysed(rollout, step=0)
        await service.harm_canary(damaged=DAMAGE_NATS)
        ended = await service.reaches(rollout, State.ROLLED_BACK)
    assert "damaged weights on" in ended.reason
    load.assert_none_failed()


async def test_damage_is_found_in_a_pause_too(service: Any) -> None:
    async with service.load():
        rollout = await service.start("damaged-in-pause", seed=33)
        await service.analysed(rollout, step=0)
        await service.client.command(rollout.id, "pause", "lunch")
        await service.harm_canary(damaged=DAMAGE_NATS)
        ended = await service.reaches(rollout, State.ROLLED_BACK)
    assert "damaged weights on" in ended.reason


async def test_a_release_that_was_damaged_when_it_was_registered_is_a_worse_model(service: Any) -> None:
    rollout = await service.start("trained-worse", seed=34, faults={"damaged": DAMAGE_NATS})
    ended = await service.reaches(rollout, State.ROLLED_BACK)
    assert "a worse model on" in ended.reason
    assert "held-out passages" in ended.reason
    assert sum(await weights_of_canary(service, rollout)) == 0


async def test_recording_leaves_no_replica_behind(service: Any) -> None:
    name = await service.release("recorded-once", seed=35)
    await recorded(service, name)

    def gone() -> bool:
        return not [program for program in service.supervisor.processes() if "recording" in program]

    await service.eventually(gone, "the replica that recorded still runs")


async def test_a_controller_killed_while_it_records_is_followed_by_one_that_records_anew(service: Any) -> None:
    name = await service.release("recorded-anew", seed=36, faults={"cold_start_seconds": 3})

    def records() -> bool:
        return bool([program for program in service.supervisor.processes() if "recording" in program])

    await service.eventually(records, "no replica records")
    service.kill("controller")
    await recorded(service, name)
    await service.eventually(lambda: not records(), "the replica that recorded still runs")
