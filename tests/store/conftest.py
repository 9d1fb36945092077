"""A migrated database on real PostgreSQL, for each version that is installed: the wheel's, and Debian's 15."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

ROOT = Path(__file__).parents[2]
# The simulated world, from which the records come, stands beside the benchmarks that use it too.
sys.path.insert(0, str(ROOT))

from benchmarks.rollout_world import World  # noqa: E402 - found through the line above
from ops.adapters import guard  # noqa: E402
from ops.adapters.spec_file import load_spec  # noqa: E402
from ops.rollout.plan import RolloutPlan  # noqa: E402
from ops.rollout.planning import rollout_plan  # noqa: E402
from ops.store import server  # noqa: E402
from ops.store.database import Database  # noqa: E402
from ops.store.errors import StoreUnavailable  # noqa: E402
from ops.store.migrating import migrate  # noqa: E402

PASSWORD = "a-password-of-this-test"
START_SECONDS_MAX = 60.0
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


@dataclass
class Server:
    """A PostgreSQL that can be stopped and started again on its port."""

    binaries: server.Binaries
    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{server.ROLE}:{quote(PASSWORD)}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        user = server.account(self.data)
        command = [sys.executable, "-I", "-S", guard.__file__, "--stop-signal", server.STOP_SIGNAL]
        command += ["--stop-seconds", "30", *(["--user", user] if user else []), "--"]
        command += server.command(self.binaries, self.data, self.port)
        with self.data.with_name("log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                return server.ping(self.url)
            except StoreUnavailable:
                assert self.process.poll() is None, self.data.with_name("log").read_text()
                assert time.monotonic() < deadline, self.data.with_name("log").read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(60) == 0
            self.process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(binaries: server.Binaries, folder: Path) -> Iterator[Server]:
    one = Server(binaries, folder / "data", free_port())
    server.prepare(binaries, one.data, PASSWORD, password_is_new=True)
    one.start()
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture(scope="session", params=["wheel", "debian-15"])
def binaries(request: pytest.FixtureRequest) -> server.Binaries:
    if request.param == "wheel":
        return server.find_binaries()
    if not DEBIAN_15.is_dir():
        pytest.fail("Debian's postgresql-15 is not installed: run `make system`")
    return server.find_binaries(DEBIAN_15)


@pytest.fixture(scope="session")
def postgres(binaries: server.Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(binaries, tmp_path_factory.mktemp("postgres")) as one:
        yield one


@pytest.fixture(scope="session")
def template(postgres: Server) -> str:
    """A migrated database; each test gets a copy, which is quicker than migrating again."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    migrate(postgres.url.replace("/postgres", "/migrated"))
    return "migrated"


@pytest.fixture
def url(postgres: Server, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, template))))
        yield postgres.url.replace("/postgres", f"/{name}")
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    one = Database(url)
    await one.open()
    yield one
    await one.close()


@pytest.fixture
def own_server(binaries: server.Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that a test may stop."""
    with running(binaries, tmp_path_factory.mktemp("own")) as one:
        migrate(one.url)
        yield one


@pytest.fixture(scope="session")
def plan() -> RolloutPlan:
    return rollout_plan(load_spec(ROOT / "gratefulgpt.yaml"), "development", "production")


@pytest.fixture
def world(plan: RolloutPlan) -> Iterator[World]:
    """Where whole, real records come from."""
    with capture_logs():
        one = World(plan)
        yield one
        one.close()
