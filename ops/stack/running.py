"""Starts a stack, sees it become healthy, and ends it: ``async with stack(options) as state``.

Use it in the main thread: the supervisor's life is tied to the thread that starts it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import msgspec

from ops.adapters.supervisord import State, Supervisor, SupervisorError, launch
from ops.adapters.supervisord_files import Folder, UnusablePath
from ops.stack.checking import unhealthy
from ops.stack.ending import POLL_SECONDS, Report, end
from ops.stack.options import StackOptions
from ops.stack.preparing import Plan, prepare
from ops.stack.programs import Check, Part
from ops.stack.state import AlreadyRunning, StackError, StackState, clear_all, clear_stale, lock_path, save_stack
from ops.store.errors import StoreError
from ops.store.migrating import migrate
from ops.store.server import ensure_database

HEALTHY_SECONDS_MAX = 60.0
"""For one program, from its start."""
DYING_SECONDS_MAX = 8.0
"""A program that is between two tries to start so long after its first has failed four times or more."""
SUPERVISOR_SECONDS_MAX = 20.0
LOCK_SECONDS_MAX = 1.0
"""Somebody else's look at the lock may hold it for an instant."""
LEFTOVERS_SECONDS_MAX = 60.0
"""The programs of a stack whose supervisor was killed may still be ending."""
LOG_LINES_SHOWN = 15
MAINTENANCE_DATABASE = "postgres"
"""PostgreSQL's own, there from the first start on."""


class StartFailed(StackError):
    """A program did not become healthy; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Running:
    state: StackState
    guard: subprocess.Popen[bytes]
    """Around supervisord: once it has ended, nothing of the stack is left."""


def silent(_: str) -> None:
    """Reports to nobody."""


@asynccontextmanager
async def stack(options: StackOptions, report: Report = silent) -> AsyncIterator[StackState]:
    """A stack for as long as the block lasts. Raises as ``up`` does, and StackError if it cannot be ended."""
    running = await up(options, report)
    try:
        yield running.state
    finally:
        await end(running.state, report)
        await asyncio.to_thread(running.guard.wait)


async def up(options: StackOptions, report: Report = silent) -> Running:
    """Starts a stack and returns when all of it is healthy. Raises AlreadyRunning, StackError or SpecError if it
    cannot be started as asked, and StartFailed if it does not become healthy; then nothing of it is left running."""
    run_dir = options.run_dir.absolute()
    lock = await _acquire(run_dir)
    try:
        clear_stale(run_dir)
        await _leftovers_gone(run_dir, report)
        if options.afresh:
            clear_all(run_dir)
        plan = await asyncio.to_thread(prepare, replace(options, run_dir=run_dir))
        guard = _launch(plan.state.folder, options.outlives_parent, lock)
    finally:
        os.close(lock)  # the guard holds it now
    state = msgspec.structs.replace(plan.state, supervisor_pid=guard.pid)
    try:
        save_stack(state)
        supervisor = Supervisor(state.folder)
        await _answers(supervisor, guard)
        await _start_all(plan, supervisor, report)
    except BaseException:
        await end(state, report)
        await asyncio.to_thread(guard.wait)
        raise
    return Running(state, guard)


def _launch(folder: Folder, outlives_parent: bool, lock: int) -> subprocess.Popen[bytes]:
    try:
        return launch(folder, outlives_parent=outlives_parent, lock=lock)
    except UnusablePath as e:
        raise StackError(str(e)) from e


async def _acquire(run_dir: Path) -> int:
    """The descriptor of the folder's lock. Raises AlreadyRunning, StackError."""
    try:
        os.makedirs(run_dir, exist_ok=True)
        lock = os.open(lock_path(run_dir), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as e:
        raise StackError(f"{run_dir} cannot be used: {e.strerror}") from e
    deadline = time.monotonic() + LOCK_SECONDS_MAX
    while not _lock(lock, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            os.close(lock)
            raise AlreadyRunning(run_dir)
        await asyncio.sleep(POLL_SECONDS)
    return lock


async def _leftovers_gone(run_dir: Path, report: Report) -> None:
    """Waits for programs whose supervisor was killed: their guards are ending them."""
    path = Folder(run_dir, run_dir).programs_lock
    if not path.exists():
        return
    deadline = time.monotonic() + LEFTOVERS_SECONDS_MAX
    told = False
    with path.open("rb+") as file:
        while not _lock(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                raise StackError(f"programs of an earlier stack do not end: `fuser {path}` names them")
            if not told:
                told = True
                report("waiting for the programs of a stack that was killed to end")
            await asyncio.sleep(POLL_SECONDS)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _answers(supervisor: Supervisor, guard: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SUPERVISOR_SECONDS_MAX
    while True:
        try:
            await asyncio.to_thread(supervisor.processes)
            return
        except SupervisorError as e:
            if guard.poll() is not None or time.monotonic() >= deadline:
                words = "\n".join(supervisor.log_tail("supervisor-start", LOG_LINES_SHOWN))
                raise StartFailed(f"the supervisor does not start: {e}\n{words}") from e
        await asyncio.sleep(POLL_SECONDS)


async def _start_all(plan: Plan, supervisor: Supervisor, report: Report) -> None:
    """What depends on nothing starts at once; the controller follows the database. Raises the first StackError."""
    async with aiohttp.ClientSession() as session:

        async def start(part: Part, where: str) -> None:
            await _start(session, supervisor, part, where, report)

        async def store() -> None:
            url = plan.state.database_url_with(plan.secrets.database_password)
            if plan.database is not None:
                maintenance = f"{url.rpartition('/')[0]}/{MAINTENANCE_DATABASE}"
                await start(plan.database, maintenance)
                await _prepare_database(maintenance, url, report)
            elif url:
                await _prepare_database(None, url, report)
            if plan.controller is not None:
                await start(plan.controller, plan.controller.where)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(store())
                for part in (*plan.gateways, *plan.monitoring):
                    group.create_task(start(part, part.where))
        except* StackError as failed:
            raise failed.exceptions[0] from None


async def _prepare_database(maintenance: str | None, url: str, report: Report) -> None:
    """Creates the database where the server is ours, and brings its schema up to date."""
    started = time.monotonic()
    try:
        if maintenance is not None:
            await asyncio.to_thread(ensure_database, maintenance)
        await asyncio.to_thread(migrate, url)
    except StoreError as e:
        raise StartFailed(str(e)) from e
    report(f"database: schema is up to date after {time.monotonic() - started:.1f} s")


async def _start(
    session: aiohttp.ClientSession, supervisor: Supervisor, part: Part, where: str, report: Report
) -> None:
    """Adds the program and waits until it is healthy. Raises StartFailed."""
    name = part.program.name
    started = time.monotonic()
    try:
        await asyncio.to_thread(supervisor.add, part.program)
        while reason := await unhealthy(session, part.check, where):
            process = (await asyncio.to_thread(supervisor.processes)).get(name)
            seconds = time.monotonic() - started
            dying = process is None or process.state in (State.BACKOFF, State.FATAL)
            if seconds > (DYING_SECONDS_MAX if dying else HEALTHY_SECONDS_MAX):
                words = "\n".join(f"  {line}" for line in supervisor.log_tail(name, LOG_LINES_SHOWN))
                trouble = "keeps ending" if dying else f"is not healthy: {reason}"
                log = supervisor.folder.log(name)
                raise StartFailed(f"{name} {trouble}, {seconds:.0f} s after its start. The end of {log}:\n{words}")
            await asyncio.sleep(POLL_SECONDS)
    except (SupervisorError, UnusablePath) as e:
        raise StartFailed(f"{name} cannot be started: {e}") from e
    shown = part.where if part.check is Check.DATABASE else where
    report(f"{name}: healthy after {time.monotonic() - started:.1f} s, {shown}")
