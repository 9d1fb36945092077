"""The controller dies by SIGKILL at each transition of a rollout under load, between the save and the act and between
the act and the next save: what is decided is what is decided undisturbed, and no user notices."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from ops.adapters import guard
from ops.adapters.controller_client import ControllerClient, ControllerError
from ops.loadtest.arrivals import poisson
from ops.loadtest.requests import Mix, draw
from ops.loadtest.samples import Sample
from ops.rollout.record import Rollout, replicas_wanted
from ops.rollout.states import ENDED, State
from ops.store.database import Database
from ops.store.rollouts import JournalLine, list_rollouts, load, read_journal
from serving.contract import RouteState

from .conftest import LOAD_SECONDS_MAX, OUTPUT_TOKENS, RATE, SEED
from .mortal_controller import ACTED, SAVED

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]
MORTAL = Path(__file__).with_name("mortal_controller.py")
CONTROLLERS = 3
"""Two die shortly one after the other: the third leads at once, long before a lease runs out."""
JOURNAL_LINES_MAX = 1000
DEADLINE_SECONDS = 90.0
PROFILES: dict[State, dict[str, Any]] = {State.PROMOTED: {"step_jitter": 0.02}, State.ROLLED_BACK: {"slowdown": 10.0}}
"""Of simulated models, by how their rollouts end. The bad one answers all, too: what fails is the switch's fault."""


async def test_killed_on_both_sides_of_each_act_it_decides_as_undisturbed_and_no_request_is_lost(
    service: Any, tmp_path: Path
) -> None:
    for end, profile in PROFILES.items():  # what is recorded of their answers is there when they are rolled out
        for prefix in ("undisturbed", "killed"):
            await service.release(name_of(prefix, end), **profile)
    async with records(service) as database, service.load() as watched, standing_by(service, tmp_path) as mortals:
        expected = {}
        for end in PROFILES:
            release = name_of("undisturbed", end)
            undisturbed = await service.client.start(release, service.tier)
            await service.reaches(undisturbed, end)
            expected[end] = decisions(await journal_of(database, undisturbed), release)
        await service.kill_for_good("controller")
        for end in PROFILES:
            await goes_the_same_way(service, database, mortals, end, expected[end])
    watched.assert_none_failed()
    assert_none_missing(watched.samples)
    asked = {sample.release for sample in watched.samples}
    assert {name_of("killed", end) for end in PROFILES} <= asked, "a canary was never asked"


def name_of(prefix: str, end: State) -> str:
    return f"{prefix}-{end}".replace("_", "-")


async def goes_the_same_way(
    service: Any, database: Database, mortals: Mortals, end: State, expected: list[object]
) -> None:
    release, before = name_of("killed", end), await load(database, service.tier)
    mortals.bury()
    rollout = await carried_out(service, database, mortals, release)
    await service.eventually(lambda: as_recorded(service, database), "workers or engines are not as recorded")
    journal, after = await journal_of(database, rollout), await load(database, service.tier)
    assert rollout.state is end, rollout.reason
    assert decisions(journal, release) == expected
    moves = [entry.event or entry.kind for entry in (line.entry for line in journal) if entry.to_state]
    assert mortals.deaths() == [f"{boundary}: {move}" for move in moves for boundary in (SAVED, ACTED)]
    stable = after.tier.stable
    assert after.active is None
    assert stable is not None
    assert stable.release == rollout.release if end is State.PROMOTED else stable == before.tier.stable


def decisions(journal: Iterable[JournalLine], release: str) -> list[object]:
    """What must be equal: every transition in its order, and which shares of requests went where.

    Not the instants, nor the reasons, which tell of what was counted by then. Nor the epochs: levels are cut anew
    when enough was measured, so the same shares come under more or fewer epochs, as time has it.
    """
    found: list[object] = []
    shares: list[object] = []
    for entry in (line.entry for line in journal):
        if entry.to_state:
            found.append((entry.kind, entry.event, entry.from_state, entry.to_state))
        if entry.kind == "routes":
            before, releases, weights = shares, dict(entry.payload["releases"]), dict(entry.payload["weights"])
            shares = [(arm, weights[arm], name == release) for arm, name in sorted(releases.items())]
            found += [shares] if shares != before else []
    return found


def assert_none_missing(samples: list[Sample]) -> None:
    """All that was due up to the last answer has one: the generator's chance tells what was due."""
    chance, mix = Random(SEED), Mix(output_tokens=OUTPUT_TOKENS)
    due = []
    for at in itertools.islice(poisson(RATE, LOAD_SECONDS_MAX, chance), len(samples)):
        due.append(at)
        draw("any", mix, chance)
    answered = sorted(sample.at for sample in samples)
    assert [at - answered[0] for at in answered] == pytest.approx([at - due[0] for at in due], abs=1e-3)


# --- What is recorded, and whether it is so ---------------------------------------------------------------------


@asynccontextmanager
async def records(service: Any) -> AsyncIterator[Database]:
    """Read without any controller, since none may be alive."""
    database = Database(service.state.database_url_with(service.secrets.database_password))
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def as_recorded(service: Any, database: Database) -> bool:
    """Whether each worker follows the recorded table, and the engines that run are those recorded, no more, no less."""
    loaded = await load(database, service.tier)
    held = await service.tables()
    follow = [one.table == loaded.tier.table and one.state is RouteState.ACTIVE for one in held]
    wanted = {replica.name for replica in replicas_wanted(loaded.tier, loaded.active)}
    declared = {
        path.stem: json.loads(path.read_text())["port"] for path in (service.run_dir / "replicas").glob("*.json")
    }
    return (
        follow == [True] * len(service.workers)
        and set(declared) == wanted
        and engine_ports(service.folder) == sorted(declared.values())
    )


def engine_ports(folder: Path) -> list[int]:
    """Of all engines that run a model of this stack, whoever their parent is."""
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    engines = [line for line in lines if "serving.engine" in line and any(str(folder) in part for part in line)]
    return sorted(int(line[line.index("--port") + 1]) for line in engines)


async def journal_of(database: Database, rollout: Rollout) -> list[JournalLine]:
    return await read_journal(database, rollout.id, 0, JOURNAL_LINES_MAX)


# --- Controllers that die ---------------------------------------------------------------------------------------


@dataclass
class Mortals:
    """Controllers that stand by, die, and are started again."""

    service: Any
    file: Path
    """Where they tell of their deaths."""
    ports: list[int]

    def deaths(self) -> list[str]:
        return self.file.read_text().splitlines()

    def bury(self) -> None:
        self.file.write_text("")

    async def leader(self) -> str | None:
        """Its URL."""
        urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        leading = [url for url in urls if await self.service.leads(url)]
        return leading[0] if leading else None


@asynccontextmanager
async def standing_by(service: Any, folder: Path) -> AsyncIterator[Mortals]:
    """Mortal controllers beside the supervised one, which leads before and after."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(CONTROLLERS)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        mortals = Mortals(service, folder / "deaths.txt", [probe.getsockname()[1] for probe in probes])
    mortals.bury()
    line = [sys.executable, guard.__file__, "--parent", str(os.getpid()), "--", sys.executable, str(MORTAL)]
    line += [service.tier, str(mortals.file), str(service.run_dir), *map(str, mortals.ports)]
    with (service.folder / "mortals.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*line, stdout=log, stderr=log)
    try:
        yield mortals
        assert process.returncode is None, f"the controllers have ended; see {log.name}"
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE_SECONDS)
        await service.back("controller")
    await service.eventually(service.leads, "the supervised controller does not lead again")


async def carried_out(service: Any, database: Database, mortals: Mortals, release: str) -> Rollout:
    """The rollout of ``release`` once it has ended and nothing of it is left to die at."""

    async def ended() -> Rollout | None:
        newest = (await list_rollouts(database, service.tier, 1))[0]
        return newest if newest.state in ENDED and mortals.deaths()[-1:] == [f"{ACTED}: settled"] else None

    url = await service.eventually(mortals.leader, "none of the controllers leads")
    async with ControllerClient(url, service.secrets.admin_key, actor="tester") as client:
        with contextlib.suppress(ControllerError):  # it dies before it answers, and another may be asked again
            await client.start(release, service.tier)
    rollout = await service.eventually(ended, lambda: f"it does not end: {mortals.deaths()}", DEADLINE_SECONDS)
    assert rollout.release.name == release, "it never began"
    return rollout
