"""Before a release, on a whole stack: its traffic measured, a start refused that could not detect what is demanded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.adapters.controller_client import ControllerError
from ops.cli.main import main
from ops.rollout.states import State

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]

WATCHED_SECONDS = 12


@contextmanager
def _demanding(service: Any, times: float, canary_requests_max: int) -> Iterator[None]:
    """The stack's spec with one demand, read anew at each start."""
    path = Path(service.state.spec_path)
    before = path.read_text()
    spec = yaml.safe_load(before)
    slower = [{"times": times, "canary_requests_max": canary_requests_max}]
    spec["rollout"]["analysis"]["detection"] |= {"slower": slower, "traffic_seconds_min": WATCHED_SECONDS}
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    try:
        yield
    finally:
        path.write_text(before)


async def test_the_traffic_that_runs_is_measured_and_decides_whether_a_canary_may_start(service: Any) -> None:
    name = await service.release("before", seed=7)
    async with service.load():

        async def measured() -> bool:
            found = await service.client.traffic(service.tier)
            return found.seconds >= WATCHED_SECONDS and found.requests > 500

        await service.eventually(measured, "the controller does not see the load")
        with _demanding(service, times=20.0, canary_requests_max=1):
            plan = ["canary", "plan", "--run-dir", str(service.run_dir), "--json"]
            assert await asyncio.to_thread(main, plan) == 1
            with pytest.raises(ControllerError, match="within 1 canary requests"):
                await service.client.start(name, service.tier)
            rollout = await service.client.start(name, service.tier, accept_blind_spots=True)
        started = (await service.client.journal(rollout.id))[0].entry
        assert started.payload["accepted_blind_spots"] is True
        await service.reaches(rollout, State.ANALYSING)
        await service.client.command(rollout.id, "rollback", "seen enough")
        await service.reaches(rollout, State.ROLLED_BACK)
        with _demanding(service, times=20.0, canary_requests_max=2000):
            assert await asyncio.to_thread(main, plan) == 0
        assert {margin.event.value for margin in (await service.client.calibration(service.tier)).margins} >= {"slow"}
