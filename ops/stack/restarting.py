"""One program of a running stack, ended and started again."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from ops.adapters.supervisord import ENDED, Process, State, Supervisor, SupervisorError
from ops.rollout.replicas import ReplicasError
from ops.stack.ending import POLL_SECONDS, STAGE_SECONDS_MAX, Report
from ops.stack.programs import REPLICA_PREFIX, stage_of
from ops.stack.replicas import stack_replicas
from ops.stack.running import HEALTHY_SECONDS_MAX, StartFailed
from ops.stack.state import Secrets, StackError, StackState
from ops.stack.status import PartStatus, status

HURRY_SECONDS = 0.5
"""From asking a program to end to telling its guard to kill it, where nobody wants to wait."""


async def engines_of(state: StackState, tier: str) -> tuple[str, ...]:
    """The programs of the tier's engines. Raises StackError if it has none."""
    async with aiohttp.ClientSession() as session:
        try:
            replicas = await stack_replicas(state, session).observe(tier)
        except ReplicasError as e:
            raise StackError(f"the engines cannot be asked for: {e}") from e
    if not replicas:
        raise StackError(f"the stack has no engines of the tier {tier!r}")
    return tuple(f"{REPLICA_PREFIX}{replica.name}" for replica in replicas)


async def not_well(state: StackState, secrets: Secrets) -> tuple[str, ...]:
    """The programs that do not answer as they should, the database first: others need it. Raises StackError."""
    found = [part.name for part in (await status(state, secrets)).parts if not part.healthy]
    return tuple(sorted(found, key=stage_of, reverse=True))


async def restart(state: StackState, secrets: Secrets, name: str, report: Report, now: bool = False) -> None:
    """Returns once it is healthy. ``now`` does not let it finish what it does.

    Raises StackError if there is no such program or the supervisor does not answer, StartFailed if it does not end or
    does not become healthy."""
    supervisor = Supervisor(state.folder)
    try:
        known = await asyncio.to_thread(supervisor.processes)
        if name not in known:
            raise StackError(f"the stack has no program {name!r}: it has {', '.join(sorted(known))}")
        await _ended(supervisor, name, report, now)
        await asyncio.to_thread(supervisor.start, name)
    except SupervisorError as e:
        raise StackError(f"{name} cannot be restarted: {e}") from e
    await _healthy(state, secrets, name, report)


async def _ended(supervisor: Supervisor, name: str, report: Report, now: bool) -> None:
    began = time.monotonic()
    hurried = not now
    await asyncio.to_thread(supervisor.stop, name)
    while process := _still_there(await asyncio.to_thread(supervisor.processes), name):
        seconds = time.monotonic() - began
        if seconds > STAGE_SECONDS_MAX:
            raise StartFailed(f"{name} does not end: look with `ops stack logs {name}`")
        if not hurried and seconds > HURRY_SECONDS and process.state is State.STOPPING:
            hurried = True
            await asyncio.to_thread(supervisor.signal, name, "TERM")  # its guard then kills at once
        await asyncio.sleep(POLL_SECONDS)
    report(f"{name}: ended after {time.monotonic() - began:.1f} s")


def _still_there(processes: dict[str, Process], name: str) -> Process | None:
    """One that the controller took away meanwhile has ended too."""
    process = processes.get(name)
    return None if process is None or process.state in ENDED else process


async def _healthy(state: StackState, secrets: Secrets, name: str, report: Report) -> None:
    began = time.monotonic()
    while True:
        part = _named(name, (await status(state, secrets)).parts)
        if part is not None and part.healthy:
            report(f"{name}: healthy after {time.monotonic() - began:.1f} s")
            return
        if time.monotonic() - began > HEALTHY_SECONDS_MAX:
            trouble = "is gone: the controller wants it no longer" if part is None else f"is not healthy: {part.detail}"
            raise StartFailed(f"{name} {trouble}; look with `ops stack logs {name}`")
        await asyncio.sleep(POLL_SECONDS)


def _named(name: str, parts: tuple[PartStatus, ...]) -> PartStatus | None:
    return next((part for part in parts if part.name == name), None)
