"""The end of a stack, in order: gateways drain first, the database goes last, and every wait is bounded."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from ops.adapters.guard import KILL_SECONDS_MAX
from ops.adapters.supervisord import ENDED, State, Supervisor, SupervisorError
from ops.adapters.supervisord_files import KILL_MARGIN_SECONDS
from ops.stack.programs import Stage, stage_of
from ops.stack.state import StackError, StackState, forget_stack, is_running, load_stack

POLL_SECONDS = 0.05
STAGE_SECONDS_MAX = 60.0 + KILL_SECONDS_MAX + KILL_MARGIN_SECONDS
"""For one stage; by then supervisord has killed what would not end."""
SUPERVISOR_SECONDS_MAX = 20.0

Report = Callable[[str], None]


async def end(state: StackState, report: Report, hurry: asyncio.Event | None = None) -> None:
    """Ends the stack of ``state``. Once ``hurry`` is set, only the database is still given time. Raises StackError
    if something of it is still there at the end."""
    supervisor = Supervisor(state.folder)
    try:
        for stage in Stage:
            await _end_stage(supervisor, stage, report, hurry)
        await asyncio.to_thread(supervisor.shutdown)
    except SupervisorError:
        _tell_guard(state)  # supervisord is gone, or hangs: its guard ends everything that is left
    if not await _gone(state, SUPERVISOR_SECONDS_MAX):
        _tell_guard(state)
        _tell_guard(state)
        if not await _gone(state, SUPERVISOR_SECONDS_MAX):
            raise StackError(f"the supervisor (pid {state.supervisor_pid}) does not end: see {state.folder.logs}")
    forget_stack(state)


async def _end_stage(supervisor: Supervisor, stage: Stage, report: Report, hurry: asyncio.Event | None) -> None:
    started = time.monotonic()
    named: set[str] = set()
    can_hurry = hurry is not None and stage is not Stage.DATABASE
    while True:
        processes = await asyncio.to_thread(supervisor.processes)
        left = [process for process in processes.values() if stage_of(process.name) is stage]
        left = [process for process in left if process.state not in ENDED]
        if not left:
            break
        if time.monotonic() - started > STAGE_SECONDS_MAX:
            report(f"{', '.join(process.name for process in left)}: does not end")
            break
        for process in left:
            if process.name not in named:
                named.add(process.name)
                await asyncio.to_thread(supervisor.stop, process.name)
            elif process.state is State.STOPPING and can_hurry and hurry is not None and hurry.is_set():
                await asyncio.to_thread(supervisor.signal, process.name, "TERM")  # its guard then kills at once
        await asyncio.sleep(POLL_SECONDS)
    if named:
        report(f"{', '.join(sorted(named))}: ended after {time.monotonic() - started:.1f} s")


def _tell_guard(state: StackState) -> None:
    # While the lock is held the guard lives, so this pid is nobody else's.
    if state.supervisor_pid and is_running(Path(state.run_dir)):
        try:
            os.kill(state.supervisor_pid, signal.SIGTERM)
        except ProcessLookupError:
            return


async def _gone(state: StackState, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(Path(state.run_dir)):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


async def down(run_dir: Path, report: Report) -> bool:
    """Ends the stack that runs in ``run_dir``, whoever started it. False if none does. Raises StackError."""
    if not is_running(run_dir):
        return False
    await end(load_stack(run_dir), report)
    return True
