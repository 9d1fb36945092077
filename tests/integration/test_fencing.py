"""A controller that hangs between its decision and its act, and what its successor is spared."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import psycopg
import pytest

from ops.adapters.local_replicas import LOCK_SECONDS_MAX, LocalReplicas
from ops.adapters.supervisord import Supervisor
from ops.adapters.supervisord_files import Folder
from ops.rollout.controlling import Controller, Surroundings
from ops.rollout.decided import Decided
from ops.rollout.observing import Checked
from ops.rollout.record import Fleet, Release, Rollout, TierRecord
from ops.rollout.replicas import ReplicasError, ReplicaSpec, ReplicaStatus
from ops.store.database import Database
from ops.store.migrating import migrate
from ops.store.rollouts import save

DEADLINE_SECONDS = 30.0
OLD = ReplicaSpec("old", "production", "m", "simulated", "/models/old")
NEW = ReplicaSpec("new", "production", "m", "simulated", "/models/new")


class HangingReplicas:
    """Notes what should run. ``observe`` answers only while ``free`` is set."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.asked = asyncio.Event()
        self.applied: list[set[str]] = []

    async def apply(self, tier: str, desired: Collection[ReplicaSpec]) -> None:
        self.applied.append({replica.name for replica in desired})

    async def observe(self, tier: str) -> tuple[ReplicaStatus, ...]:
        self.asked.set()
        await self.free.wait()
        return ()


class NoChecks:
    async def verify(self, release: Release) -> Checked:
        return Checked(True, "")

    async def warm_up(self, url: str, rollout: Rollout) -> Checked:
        return Checked(True, "")


def stable_is(replica: ReplicaSpec) -> Decided:
    release = Release(
        replica.name, "production", "simulated", "1", replica.model_path, (), "v1", replica.name * 8, (), 1.0, "tester"
    )
    return Decided(TierRecord("production", Fleet(release, (replica,))), None)


@asynccontextmanager
async def controller(url: str, holder: str, replicas: HangingReplicas) -> AsyncIterator[tuple[Controller, Database]]:
    database = Database(url)
    await database.open()
    one = Controller(Surroundings(database, url, replicas, (), NoChecks(), ("production",), ()), holder)
    task = asyncio.create_task(one.run())
    try:
        yield one, database
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE_SECONDS)
        await database.close()


@pytest.fixture
async def database_url(service: Any) -> str:
    """A database of its own on the stack's server."""
    url = str(service.state.database_url_with(service.secrets.database_password))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS fencing")
        connection.execute("CREATE DATABASE fencing")
    url = url.rpartition("/")[0] + "/fencing"
    await asyncio.to_thread(migrate, url)
    return url


@pytest.mark.server
@pytest.mark.asyncio(loop_scope="package")
async def test_what_a_controller_decided_before_it_was_deposed_is_not_acted_on_after(
    service: Any, database_url: str
) -> None:
    deposed, successor = HangingReplicas(), HangingReplicas()
    async with controller(database_url, "deposed", deposed) as (first, database):
        await service.eventually(lambda: first.leadership is not None, "the first does not lead")
        assert first.leadership is not None
        await save(database, stable_is(OLD), term=first.leadership.term, now=1.0)
        await asyncio.wait_for(deposed.asked.wait(), DEADLINE_SECONDS)  # it has read its records, and hangs
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leader deposed'"
            )
        successor.free.set()
        async with controller(database_url, "successor", successor) as (second, _):
            await service.eventually(lambda: second.leadership is not None, "the second does not lead")
            assert second.leadership is not None
            await save(database, stable_is(NEW), term=second.leadership.term, now=2.0)
            await service.eventually(lambda: {"new"} in successor.applied, "the second does nothing")
            deposed.free.set()
            await service.eventually(lambda: first.leadership is None, "the first still thinks that it leads")
    assert deposed.applied == [], "it would have ended the replica that serves by now"


async def test_a_lock_held_by_a_process_that_hangs_is_an_error_and_no_hang(tmp_path: Path) -> None:
    (tmp_path / "replicas").mkdir()
    held = (tmp_path / "replicas" / "lock").open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    supervisor = Supervisor(Folder(tmp_path, tmp_path / "socket"))
    async with aiohttp.ClientSession() as session:
        replicas = LocalReplicas(supervisor, session, chance=Random(1))
        with held, pytest.raises(ReplicasError, match="another process holds"):
            await asyncio.wait_for(replicas.apply("production", ()), LOCK_SECONDS_MAX + DEADLINE_SECONDS)
