"""The controller's API on a real PostgreSQL: a controller that leads, replicas and an engine that a test can steer."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
import psycopg
import pytest
from aiohttp import web

from ops.adapters import guard
from ops.adapters.controller_api import controller_app
from ops.adapters.registrar import Artefacts
from ops.adapters.spec_file import load_spec
from ops.rollout.controlling import Controller, Surroundings
from ops.rollout.operating import Operations
from ops.rollout.planning import rollout_plan
from ops.rollout.replicas import ReplicaSpec, ReplicaStatus
from ops.store import server
from ops.store.database import Database
from ops.store.errors import StoreUnavailable
from ops.store.migrating import migrate

ROOT = Path(__file__).resolve().parents[2]
ADMIN_KEY = "an-admin-key-of-this-test"
PASSWORD = "a-password-of-this-test"
DEADLINE_SECONDS = 30.0
_START_SECONDS_MAX = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server's ``postgres`` database."""
    binaries = server.find_binaries()
    data = tmp_path_factory.mktemp("postgres") / "data"
    server.prepare(binaries, data, PASSWORD, password_is_new=True)
    port, user = free_port(), server.account(data)
    command = [sys.executable, "-I", "-S", guard.__file__, "--stop-signal", server.STOP_SIGNAL, "--stop-seconds", "30"]
    command += [*(["--user", user] if user else []), "--", *server.command(binaries, data, port)]
    log = data.with_name("log")
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    url = f"postgresql://{server.ROLE}:{quote(PASSWORD)}@127.0.0.1:{port}/postgres"
    try:
        deadline = time.monotonic() + _START_SECONDS_MAX
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
        process.wait(60)


@pytest.fixture(scope="session")
def migrated(postgres: str) -> str:
    """The URL of a database with our tables."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    url = _named(postgres, "migrated")
    migrate(url)
    return url


@pytest.fixture
def database_url(migrated: str) -> str:
    """With empty tables."""
    tables = "answers, freezes, deliveries, looks, journal, rollouts, tiers, releases"
    with psycopg.connect(migrated, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # past the triggers, which refuse it
        connection.execute(f"TRUNCATE {tables} CASCADE".encode())
    return migrated


def _named(url: str, database: str) -> str:
    return url.rsplit("/", 1)[0] + f"/{database}"


class Wire:
    """A forwarder in front of PostgreSQL that can be cut and mended, as a network can."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._parts = parts
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = free_port()

    @property
    def url(self) -> str:
        credentials = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{credentials}@127.0.0.1:{self.port}"))

    async def mend(self) -> None:
        self._listener = await asyncio.start_server(self._forward, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._open |= {writer, back}

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            finally:
                sink.close()

        await asyncio.gather(pump(reader, back), pump(there, writer))
        self._open -= {writer, back}


class SteeredReplicas:
    """Keeps what should run; all of it is ready, at one engine, once a test says so."""

    def __init__(self, engine_url: str):
        self.engine_url = engine_url
        self.ready = False
        self.declared: dict[str, tuple[ReplicaSpec, ...]] = {}

    async def apply(self, tier: str, desired: Collection[ReplicaSpec]) -> None:
        self.declared[tier] = tuple(desired)

    async def observe(self, tier: str) -> tuple[ReplicaStatus, ...]:
        return tuple(ReplicaStatus(spec.name, self.engine_url, self.ready) for spec in self.declared.get(tier, ()))


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The application's base URL."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def engine_app() -> web.Application:
    async def complete(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"choices": [{"message": {"content": "ok"}}]})

    async def score(request: web.Request) -> web.Response:
        prompt = (await request.json())["prompt"]
        found = [None, *({str(ord(letter)): {"logprob": -1 / ord(letter)}} for letter in prompt[1:])]
        return web.json_response({"choices": [{"text": "", "prompt_logprobs": found}]})

    async def version(request: web.Request) -> web.Response:
        return web.json_response({"version": "1"})

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", complete)])
    app.add_routes([web.post("/v1/completions", score), web.get("/version", version)])
    return app


@dataclass
class Service:
    """One controller with its API."""

    url: str
    controller: Controller
    operations: Operations
    replicas: SteeredReplicas
    session: aiohttp.ClientSession
    task: asyncio.Task[None]
    headers: dict[str, str] = field(
        default_factory=lambda: {"authorization": f"Bearer {ADMIN_KEY}", "x-actor": "tester"}
    )

    async def call(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON. Underscores in a header's name stand for dashes; an empty value takes it out."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        wanted = {name: value for name, value in {**self.headers, **given}.items() if value}
        content: dict[str, Any] = {"data": raw} if raw is not None else {"json": body}
        async with self.session.request(method, self.url + path, headers=wanted, **content) as response:
            return response.status, await response.json()

    async def end(self) -> None:
        """The controller's end; its API stays."""
        await _ended(self.task)

    async def leads(self) -> None:
        await eventually(lambda: self.controller.leadership is not None, "it never led")

    async def register(self, name: str, folder: Path) -> None:
        """A release of one small file."""
        _write_model(folder, name)
        body = {"name": name, "tier": "production", "engine": "simulated", "model": str(folder)}
        status, answer = await self.call("POST", "/v1/releases", body)
        assert status == 201, answer

    async def reaches(self, rollout: str, *states: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        async def there() -> bool:
            self.controller.wake()  # the next tick now, not in a second
            found.update((await self.call("GET", f"/v1/rollouts/{rollout}"))[1])
            return found.get("state") in states

        await eventually(there, lambda: f"{found.get('state')}: {found.get('reason')}")
        return found


def _write_model(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bin").write_bytes(name.encode())


Condition = Callable[[], bool] | Callable[[], Awaitable[bool]]


async def eventually(
    condition: Condition, words: str | Callable[[], str], seconds: float = DEADLINE_SECONDS
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        held = condition()
        if (held if isinstance(held, bool) else await held):
            return
        assert time.monotonic() < deadline, words if isinstance(words, str) else words()
        await asyncio.sleep(0.05)


StartService = Callable[..., Awaitable[Service]]


@pytest.fixture
async def start_service(database_url: str) -> AsyncIterator[StartService]:
    """Starts services on one database; each ends with the test."""
    spec = load_spec(ROOT / "gratefulgpt.yaml")

    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        engine_url = await stack.enter_async_context(serving(engine_app()))

        async def start(
            holder: str = "one", url: str = database_url, webhooks: Mapping[str, str] | None = None
        ) -> Service:
            database = Database(url)
            await database.open()
            stack.push_async_callback(database.close)
            replicas = SteeredReplicas(engine_url)
            checker = Artefacts(session, ROOT)
            around = Surroundings(
                database=database,
                database_url=url,
                replicas=replicas,
                workers=(),
                checker=checker,
                tiers=tuple(spec.tiers),
                webhooks=tuple(webhooks or ()),
            )
            controller = Controller(around, holder)

            def plan(tier: str) -> Any:
                return rollout_plan(spec, "development", tier)

            operations = Operations(controller, checker, plan, plan)
            address = await stack.enter_async_context(serving(controller_app(controller, operations, ADMIN_KEY)))
            task = asyncio.create_task(controller.run())
            stack.push_async_callback(_ended, task)
            return Service(address, controller, operations, replicas, session, task)

        yield start


async def _ended(task: asyncio.Task[None]) -> None:
    """Asked again and again: a task that is just being woken may miss it once (``asyncio.wait_for`` before 3.12)."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not task.done():
        assert time.monotonic() < deadline, "the controller does not end"
        task.cancel()
        await asyncio.wait([task], timeout=0.5)


@pytest.fixture
async def service(start_service: StartService) -> Service:
    one = await start_service()
    await one.leads()
    return one


@pytest.fixture
def wire(database_url: str) -> Wire:
    return Wire(database_url)


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    return eventually


@pytest.fixture
def served() -> Callable[[web.Application], Any]:
    return serving


@pytest.fixture
def admin_key() -> str:
    return ADMIN_KEY
