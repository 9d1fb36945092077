"""Wiring of one worker, its two ports, and its life from start to drain."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import math
import random
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator

import uvicorn

from serving.contract import TaskKind
from serving.gateway import route_store
from serving.gateway.admin_port import admin_app
from serving.gateway.admission import Admission
from serving.gateway.asgi import App
from serving.gateway.connection import Connection
from serving.gateway.counting import Counters
from serving.gateway.inference import Inference
from serving.gateway.metrics import WorkerCollector
from serving.gateway.openapi import document
from serving.gateway.public import public_app
from serving.gateway.request_log import RequestLog
from serving.gateway.routes import Routes
from serving.gateway.sessions import ScoredSessions
from serving.gateway.settings import Settings, SettingsError, load_config, load_secrets
from serving.gateway.upstream import Upstream, new_session
from serving.gateway.worker import Worker
from serving.tasks.catalogue import Catalogue, TaskFilesError, load_catalogue

HOUSEKEEPING_SECONDS = 0.25
KEEPALIVE_SECONDS = 75
"""Idle connections of clients; longer than the 60 s of common load balancers, so that they close first."""
BACKLOG = 2048
GC_THRESHOLDS = (50_000, 20, 50)
"""Requests make few cycles; the defaults would collect many times a second for nothing."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: a worker has two servers and one order in which they end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, then drains. Raises SettingsError if it cannot start."""
    with contextlib.ExitStack() as stack:
        public = stack.enter_context(_listen(settings.host, settings.port, shared=True))
        admin = stack.enter_context(_listen(settings.host, settings.admin_port, shared=False))
        stack.enter_context(_locked_state(settings))
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_serve(settings, public, admin))
    return 0


def _new_loop() -> asyncio.AbstractEventLoop:
    factory = uvicorn.Config(_no_app, loop="uvloop").get_loop_factory()
    return factory() if factory is not None else asyncio.new_event_loop()


async def _no_app(*_: object) -> None:
    """Stands where uvicorn's configuration wants an application."""


async def _serve(settings: Settings, public: socket.socket, admin: socket.socket) -> None:
    worker = _build(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    drain_seconds = math.ceil(worker.config.limits.drain_timeout_seconds)
    public_server = _server(public_app(worker), drain_seconds)
    admin_server = _server(admin_app(worker), 1)
    logging.getLogger("uvicorn.error").disabled = True  # our own log says what matters, without the text of faults
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    house = asyncio.create_task(worker.keep_house(HOUSEKEEPING_SECONDS))
    servers = [
        asyncio.create_task(public_server.serve(sockets=[public])),
        asyncio.create_task(admin_server.serve(sockets=[admin])),
    ]
    worker.log.event(time.time(), "started", instance=worker.instance, port=settings.port)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, house, *servers}, return_when=asyncio.FIRST_COMPLETED)
    worker.life.draining = True
    worker.log.event(time.time(), "draining", in_flight=worker.admission.in_flight)
    public_server.should_exit = True
    await servers[0]
    admin_server.should_exit = True
    await servers[1]
    for task in (house, stopping):
        task.cancel()
    broken = await asyncio.gather(house, stopping, return_exceptions=True)
    await worker.session.close()
    with contextlib.suppress(OSError):
        await worker.routes.keep_up()
    worker.log.event(time.time(), "stopped")
    with contextlib.suppress(OSError):
        await worker.log.write()
    for fault in broken:
        if isinstance(fault, Exception):
            raise fault


def _build(settings: Settings) -> Worker:
    """Raises SettingsError."""
    config = load_config(settings.config)
    secrets = load_secrets(settings.secrets_file)
    own = [task.name for task in config.tasks if task.kind in (TaskKind.TEXT, TaskKind.STRUCTURED)]
    catalogue = _catalogue(own)
    try:
        records = route_store.load(settings.state_dir)
    except route_store.StateError as e:
        raise SettingsError(str(e)) from e
    instance = uuid.uuid4().hex
    known = {tier: record for tier, record in records.items() if tier in config.tiers}
    routes = Routes(settings.worker, instance, settings.state_dir, known, time.monotonic)
    counters, admission = Counters(config), Admission(config.limits)
    log = RequestLog(settings.worker, sys.stdout.buffer)
    session = new_session(config.limits)
    rng = random.Random()  # noqa: S311 - spreads load, guards nothing
    upstream = Upstream(session, config.limits, time.monotonic, rng)
    inference = Inference(
        config, secrets.synthetic_token, catalogue, routes, admission, counters, upstream, log, rng, ScoredSessions()
    )
    collector = WorkerCollector(settings.worker, instance, counters, routes, admission, log)
    openapi = document(config, catalogue)
    return Worker(
        settings, secrets, config, instance, routes, admission, counters, inference, collector, log, session, openapi
    )


def _catalogue(names: list[str]) -> Catalogue:
    try:
        return load_catalogue(names)
    except TaskFilesError as e:
        raise SettingsError(str(e)) from e


def _server(app: App, drain_seconds: int) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEPALIVE_SECONDS,
            timeout_graceful_shutdown=drain_seconds,
        )
    )


def _listen(host: str, port: int, *, shared: bool) -> socket.socket:
    """A bound socket. Raises SettingsError if the port is taken; ``shared`` ones only by others that do not share."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        if not shared:
            listener.listen(BACKLOG)  # only now nobody else can have the port
    except OSError as e:
        listener.close()
        raise SettingsError(f"port {port} on {host} cannot be used: {e.strerror}") from e
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def _locked_state(settings: Settings) -> Iterator[None]:
    """The state folder is one worker's alone. Raises SettingsError."""
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        with (settings.state_dir / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as e:
        raise SettingsError(f"{settings.state_dir} is in use by another worker") from e
    except OSError as e:
        raise SettingsError(f"{settings.state_dir} cannot be used: {e.strerror}") from e
