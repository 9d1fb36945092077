"""Programs of a local stack that live and do nothing more: their processes are stopped, their guards are not."""

from __future__ import annotations

import signal
from collections.abc import Iterable

import psutil

from ops.adapters.supervisord import Supervisor, SupervisorError


class HangingError(Exception):
    """The program has no process to stop, or it cannot be stopped. Worth another try once it runs."""


def hang(supervisor: Supervisor, program: str) -> tuple[psutil.Process, ...]:
    """What was stopped, for ``go_on``. Raises HangingError; then nothing of the program is stopped."""
    stopped: list[psutil.Process] = []
    try:
        guard = psutil.Process(supervisor.processes()[program].pid)
        for process in guard.children(recursive=True):
            process.send_signal(signal.SIGSTOP)
            stopped.append(process)
    except (SupervisorError, psutil.Error, KeyError, ValueError) as e:
        go_on(stopped)
        raise HangingError(f"{program} cannot be stopped: {e or type(e).__name__}") from e
    if not stopped:
        raise HangingError(f"{program} has no process that could be stopped")
    return tuple(stopped)


def go_on(processes: Iterable[psutil.Process]) -> None:
    """Those that have ended meanwhile are left alone; a pid that is another's by now is none of them."""
    for process in processes:
        try:
            process.resume()
        except psutil.NoSuchProcess:
            continue
