"""Replicas over a real supervisord: declared, observed, exhausted, gone, and safe over a controller's death."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from ops.adapters.local_replicas import LocalReplicas, program_name
from ops.adapters.supervisord import Supervisor
from ops.adapters.supervisord_files import Folder
from ops.rollout.replicas import ReplicasError, ReplicaSpec, ReplicaStatus

Build = Callable[[], LocalReplicas]
DEADLINE_SECONDS = 30.0

# A stand-in engine: health, and two ways to misbehave.
ENGINE = """
import http.server, os, sys
port, words = int(sys.argv[1]), sys.argv[2:]
if "broken" in words:
    sys.exit("weights are missing")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if "loading" in words else 200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def stand_in(spec: ReplicaSpec, port: int) -> tuple[str, ...]:
    return (sys.executable, "-c", ENGINE, str(port), *spec.arguments)


def replica(name: str, *arguments: str, tier: str = "production") -> ReplicaSpec:
    return ReplicaSpec(name, tier, "model", "simulated", "/models/a", arguments)


@pytest.fixture
async def build(supervisor: Supervisor) -> AsyncIterator[Build]:
    """Makes a fresh LocalReplicas, as a controller that has just started does."""
    async with aiohttp.ClientSession() as session:
        targets = supervisor.folder.run_dir / "targets" / "replicas.json"
        yield lambda: LocalReplicas(supervisor, session, targets, chance=random.Random(), command=stand_in)


async def observed(
    replicas: LocalReplicas, condition: Callable[[dict[str, ReplicaStatus]], object], tier: str = "production"
) -> dict[str, ReplicaStatus]:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        found = {status.name: status for status in await replicas.observe(tier)}
        if condition(found):
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def ask(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
        return await response.text()


@pytest.mark.server
async def test_what_is_desired_runs_and_what_is_not_goes(build: Build, supervisor: Supervisor) -> None:
    replicas = build()
    await replicas.apply("production", [replica("a"), replica("b"), replica("slow", "loading")])
    await replicas.apply("edge", [replica("e", tier="edge")])
    found = await observed(replicas, lambda found: found["a"].ready and found["b"].ready)
    assert not found["slow"].ready
    assert not found["slow"].exhausted
    targets = json.loads((supervisor.folder.run_dir / "targets" / "replicas.json").read_text())
    assert {target["labels"]["replica"] for target in targets} == {"a", "b", "slow", "e"}
    before = await ask(found["a"].url)

    await replicas.apply("production", [replica("a")])
    assert set(await observed(replicas, lambda found: True)) == {"a"}
    await observed(replicas, lambda found: found["e"].ready, tier="edge")
    assert await ask(found["a"].url) == before, "a replica that stays desired is not touched"
    await replicas.apply("production", [replica("a")])
    assert set(supervisor.processes()) == {"replica-a", "replica-e"}


@pytest.mark.server
async def test_a_new_controller_finds_what_there_is_and_changes_nothing(build: Build) -> None:
    await build().apply("production", [replica("a")])
    first = await observed(build(), lambda found: found["a"].ready)
    pid = await ask(first["a"].url)
    again = build()
    await again.apply("production", [replica("a")])
    found = await observed(again, lambda found: found["a"].ready)
    assert found["a"].url == first["a"].url
    assert await ask(found["a"].url) == pid


@pytest.mark.server
async def test_a_replica_that_was_declared_but_never_added_is_added(build: Build, supervisor: Supervisor) -> None:
    replicas = build()
    await replicas.apply("production", [replica("a")])
    found = await observed(replicas, lambda found: found["a"].ready)
    # As a controller leaves it that dies between its file and its process, or a supervisor that was started anew.
    supervisor.stop(program_name("a"))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not supervisor.remove(program_name("a")):
        assert time.monotonic() < deadline
    assert not (await observed(replicas, lambda found: True))["a"].ready
    await build().apply("production", [replica("a")])
    assert (await observed(replicas, lambda found: found["a"].ready))["a"].url == found["a"].url


@pytest.mark.server
async def test_a_replica_whose_port_was_taken_gets_another(build: Build, supervisor: Supervisor) -> None:
    replicas = build()
    await replicas.apply("production", [replica("a")])
    url = (await observed(replicas, lambda found: found["a"].ready))["a"].url
    supervisor.stop(program_name("a"))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not supervisor.remove(program_name("a")):
        assert time.monotonic() < deadline
    with socket.create_server(("127.0.0.1", int(url.rsplit(":", 1)[1]))):
        await replicas.apply("production", [replica("a")])
        assert (await observed(replicas, lambda found: found["a"].ready))["a"].url != url


@pytest.mark.server
async def test_a_killed_replica_comes_back_at_the_same_url(build: Build) -> None:
    replicas = build()
    await replicas.apply("production", [replica("a")])
    url = (await observed(replicas, lambda found: found["a"].ready))["a"].url
    pid = int(await ask(url))
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        await observed(replicas, lambda found: found["a"].ready)
        try:
            if int(await ask(url)) != pid:
                break
        except aiohttp.ClientError:
            assert time.monotonic() < deadline


@pytest.mark.server
async def test_a_replica_that_keeps_dying_is_exhausted_with_its_last_words(build: Build) -> None:
    replicas = build()
    await replicas.apply("production", [replica("bad", "broken")])
    found = await observed(replicas, lambda found: found["bad"].exhausted)
    assert found["bad"].detail == "weights are missing"
    await replicas.apply("production", [])
    assert await replicas.observe("production") == ()


@pytest.mark.server
async def test_one_name_for_two_contents_is_refused(build: Build) -> None:
    replicas = build()
    await replicas.apply("production", [replica("a")])
    with pytest.raises(ReplicasError, match="needs a new name"):
        await replicas.apply("production", [replica("a", "loading")])
    with pytest.raises(ReplicasError, match="no name for a replica"):
        await replicas.apply("production", [replica("../a")])


@pytest.mark.server
async def test_two_controllers_at_once_start_each_replica_once(build: Build, supervisor: Supervisor) -> None:
    desired = [replica("a"), replica("b")]
    await asyncio.gather(*(build().apply("production", desired) for _ in range(5)))
    assert set(supervisor.processes()) == {"replica-a", "replica-b"}
    await observed(build(), lambda found: found["a"].ready and found["b"].ready)


async def test_without_a_supervisor_it_raises_its_own_error(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        nowhere = Supervisor(Folder(tmp_path, tmp_path / "socket"))
        replicas = LocalReplicas(nowhere, session, chance=random.Random())
        with pytest.raises(ReplicasError, match="does not answer"):
            await replicas.apply("production", [replica("a")])
        with pytest.raises(ReplicasError, match="does not answer"):
            await replicas.observe("production")
