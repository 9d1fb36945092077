"""The process of a simulated engine: profile, port, signals, and its end."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvicorn
import uvloop

from serving.engine.simulated.app import App
from serving.engine.simulated.arguments import Options, parse_arguments
from serving.engine.simulated.engine import Engine
from serving.engine.simulated.profile import ProfileError, load_profile

EXIT_USAGE = 2
EXIT_CRASHED = 70
"""The exit code of the crash fault (EX_SOFTWARE of sysexits.h)."""
BACKLOG = 4096
KEEP_ALIVE_SECONDS = 5
"""vLLM's VLLM_HTTP_TIMEOUT_KEEP_ALIVE: clients must bear that an idle connection closes."""


def run(model: str, model_name: str, host: str, port: int, arguments: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0 then, 2 for a wrong profile, wrong arguments or a taken port."""
    folder = Path(model)
    try:
        options = parse_arguments(load_profile(folder), arguments)
    except ProfileError as error:
        print(f"simulated engine: {error}", file=sys.stderr)
        return EXIT_USAGE
    _raise_file_limit()
    try:
        listener = _listen(host, port, options.profile.faults.cold_start_seconds)
    except OSError as error:
        reason = f"cannot listen on {host}:{port}: {error.strerror}; choose another port"
        print(f"simulated engine: {reason}", file=sys.stderr)
        return EXIT_USAGE
    if listener is None:
        return 0
    with listener:
        uvloop.run(_serve(options, model_name, folder, listener))
    return 0


def _listen(host: str, port: int, cold_start_seconds: float) -> socket.socket | None:
    """Takes the port at once, but accepts connections only when warm, as vLLM does; None if told to stop meanwhile.

    Raises OSError.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        if _told_to_stop(cold_start_seconds):
            listener.close()
            return None
        # Two that have bound the same port find out here, not before.
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _told_to_stop(within_seconds: float) -> bool:
    """Waits so long for SIGTERM or SIGINT."""
    signals = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        return signal.sigtimedwait(signals, within_seconds) is not None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raise_file_limit() -> None:
    """A stream is a file: as many as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Server(uvicorn.Server):
    """uvicorn ends by the signal it caught; an engine that was asked to stop ends with 0."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()


async def _serve(options: Options, model_name: str, folder: Path, listener: socket.socket) -> None:
    engine = Engine(options.profile, time.monotonic, _crash)
    app = App(engine, model_name, folder, options.server_load_tracking)
    config = uvicorn.Config(
        app, loop="none", http="httptools", ws="none", lifespan="off", interface="asgi3", log_config=None,
        log_level="critical", access_log=False, backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=options.shutdown_timeout_seconds,
    )  # fmt: skip
    _log("engine_started", model_name=model_name, address=listener.getsockname()[:2])
    driving = asyncio.create_task(engine.run())
    serving = asyncio.create_task(_Server(config).serve(sockets=[listener]))
    # Whichever ends first ends the process; a driver that failed must not leave a server that never answers.
    await asyncio.wait((driving, serving), return_when=asyncio.FIRST_COMPLETED)
    if driving.done():
        driving.result()
    driving.cancel()
    await serving
    _log("engine_stopped", model_name=model_name)


def _crash() -> None:
    _log("engine_crashed", reason="fault")
    os._exit(EXIT_CRASHED)


def _log(event: str, **fields: object) -> None:
    line = msgspec.json.encode({"at_unix_seconds": round(time.time(), 3), "event": event, **fields})
    print(line.decode(), file=sys.stderr, flush=True)

