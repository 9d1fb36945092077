"""Keeps an eye on one server process: passes signals on, restarts nothing, leaves nothing behind.

``complaint`` decides, ``watch`` acts. A server that stops answering is killed and its watcher exits with a code of
its own, so that whoever supervises the watcher starts a fresh one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import aiohttp

EXIT_UNHEALTHY = 75
"""EX_TEMPFAIL of sysexits.h: the server was killed because it did not answer; starting it again may help."""


@dataclass(frozen=True)
class WatchLimits:
    ready_seconds_max: float = 900.0  # a 70B model loads in minutes
    unhealthy_seconds_max: float = 60.0  # long enough for a machine that swaps or is busy starting other engines
    probe_interval_seconds: float = 2.0
    probe_timeout_seconds: float = 10.0
    stop_seconds_max: float = 45.0  # the server's own drain time and half as much again


@dataclass(frozen=True)
class Health:
    """What is known of the server, by the watcher's monotonic clock."""

    started_at: float
    healthy_at: float | None = None


def complaint(health: Health, limits: WatchLimits, now: float) -> str | None:
    """Why the server must go, or None."""
    if health.healthy_at is None:
        if now - health.started_at > limits.ready_seconds_max:
            return f"not ready after {limits.ready_seconds_max:g} s"
    elif now - health.healthy_at > limits.unhealthy_seconds_max:
        return f"no answer for {limits.unhealthy_seconds_max:g} s"
    return None


async def watch(
    command: Sequence[str], environment: Mapping[str, str], health_url: str, limits: WatchLimits | None = None
) -> int:
    """Runs the server until it ends, is told to (SIGTERM, SIGINT) or stops answering. Returns the exit code.

    A server that died of signal n gives 128 + n. Must run in the main thread: it takes over the two signals, and
    the server dies with the thread that started it.
    """
    limits = limits or WatchLimits()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # A session of its own: Ctrl-C reaches the server through us alone, and one killpg reaches all its children.
    server = await asyncio.create_subprocess_exec(*command, env=dict(environment), start_new_session=True)
    _log("engine_started", pid=server.pid)
    exited, asked, sick = (
        asyncio.create_task(server.wait()),
        asyncio.create_task(stop.wait()),
        asyncio.create_task(_watch_health(health_url, limits)),
    )
    try:
        await asyncio.wait((exited, asked, sick), return_when=asyncio.FIRST_COMPLETED)
        if exited.done():
            _log("engine_exited", code=exited.result())
            return _exit_code(exited.result())
        if sick.done():
            _log("engine_unhealthy", reason=sick.result())
            return EXIT_UNHEALTHY
        return await _stop(server, exited, limits)
    finally:
        asked.cancel()
        sick.cancel()
        _kill_group(server.pid)
        await exited


async def _stop(server: asyncio.subprocess.Process, exited: asyncio.Task[int], limits: WatchLimits) -> int:
    """Ends the server as it likes to be ended: only its first process is told, which drains its children."""
    _log("engine_stopping", seconds_max=limits.stop_seconds_max)
    with contextlib.suppress(ProcessLookupError):
        server.terminate()
    done, _ = await asyncio.wait((exited,), timeout=limits.stop_seconds_max)
    if done:
        _log("engine_exited", code=exited.result())
        return _exit_code(exited.result())
    _log("engine_killed", reason=f"still running {limits.stop_seconds_max:g} s after SIGTERM")
    return _exit_code(-signal.SIGKILL)


async def _watch_health(url: str, limits: WatchLimits) -> str:
    """Probes until there is something to complain about; returns the complaint."""
    clock = asyncio.get_running_loop().time
    health = Health(started_at=clock())
    timeout = aiohttp.ClientTimeout(total=limits.probe_timeout_seconds)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            if await _healthy(session, url):
                if health.healthy_at is None:
                    _log("engine_ready", after_seconds=round(clock() - health.started_at, 1))
                health = replace(health, healthy_at=clock())
            reason = complaint(health, limits, clock())
            if reason is not None:
                return reason
            await asyncio.sleep(limits.probe_interval_seconds)


async def _healthy(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _exit_code(returned: int) -> int:
    return 128 - returned if returned < 0 else returned


def _log(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), file=sys.stderr, flush=True)
