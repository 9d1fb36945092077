"""Real PostgreSQL servers, run as the product runs them: by the guard, as another account if we are root."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from ops.adapters import guard
from ops.store import server
from ops.store.errors import StoreUnavailable

PASSWORD = "a-password-of-this-test"
START_SECONDS_MAX = 60.0
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")

Running = Callable[[Path], "object"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session", params=["wheel", "debian-15"])
def binaries(request: pytest.FixtureRequest) -> server.Binaries:
    if request.param == "wheel":
        return server.find_binaries()
    if not DEBIAN_15.is_dir():
        pytest.fail("Debian's postgresql-15 is not installed: run `make system`")
    return server.find_binaries(DEBIAN_15)


@contextmanager
def run(binaries: server.Binaries, data: Path, password: str = PASSWORD) -> Iterator[str]:
    """Yields the URL of the server's ``postgres`` database once it answers."""
    port = free_port()
    user = server.account(data)
    command = [sys.executable, "-I", "-S", guard.__file__, "--stop-signal", server.STOP_SIGNAL, "--stop-seconds", "30"]
    command += [*(["--user", user] if user else []), "--", *server.command(binaries, data, port)]
    log = data.with_name(f"log-{port}")
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    url = f"postgresql://{server.ROLE}:{quote(password)}@127.0.0.1:{port}/postgres"
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                server.ping(url)
                break
            except StoreUnavailable:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


@pytest.fixture(scope="session")
def run_server() -> Callable[..., object]:
    return run


@pytest.fixture(scope="session")
def prepared(binaries: server.Binaries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("postgres") / "data"
    server.prepare(binaries, data, PASSWORD, password_is_new=True)
    return data


@pytest.fixture(scope="session")
def server_url(binaries: server.Binaries, prepared: Path) -> Iterator[str]:
    with run(binaries, prepared) as url:
        yield url


@pytest.fixture
def database_url(server_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database for one test."""
    name = f"test_{abs(hash(request.node.name))}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield server_url.rsplit("/", 1)[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
