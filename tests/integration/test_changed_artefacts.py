"""A release's files change on disk: it is refused before it serves, or rolled back at its next step."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from ops.rollout.states import State

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]


async def test_changed_before_it_goes_out_it_is_refused_and_no_replica_of_it_ever_ran(service: Any) -> None:
    name = await service.release("changed-before", seed=21)
    (service.model_folder(name) / "simulated.json").write_text('{"seed": 22}')
    rollout = await service.client.start(name, service.tier)
    ended = await service.reaches(rollout, State.REFUSED)
    assert "simulated.json has sha256" in ended.reason
    assert ended.canary == ()
    ran = [program for program in service.supervisor.processes() if rollout.id in program]
    logs = list(service.state.folder.logs.glob(f"*{rollout.id}*"))
    assert (ran, logs) == ([], [])


async def test_deleted_before_it_goes_out_it_is_refused(service: Any) -> None:
    name = await service.release("deleted-before", seed=23)
    shutil.rmtree(service.model_folder(name))
    ended = await service.reaches(await service.client.start(name, service.tier), State.REFUSED)
    assert "no such folder" in ended.reason


@pytest.mark.parametrize("what", ["changed", "deleted"])
async def test_meddled_with_after_the_first_step_it_is_rolled_back_at_the_next(service: Any, what: str) -> None:
    stable = await service.stable()
    async with service.load() as load:
        name = f"{what}-between-steps"
        rollout = await service.start(name, seed=24)
        await service.reaches(rollout, State.ANALYSING, step=0)
        if what == "changed":
            (service.model_folder(name) / "adapter.bin").write_bytes(b"new")
        else:
            (service.model_folder(name) / "simulated.json").unlink()
        ended = await service.reaches(rollout, State.ROLLED_BACK)
        assert await service.all_on(stable)
    assert "the artefact is not what was registered" in ended.reason
    tables = [line.entry.payload for line in await service.client.journal(rollout.id) if line.entry.kind == "routes"]
    assert max(table["weights"].get("canary", 0) for table in tables) == 500, "it went beyond its first step"
    load.assert_none_failed()
