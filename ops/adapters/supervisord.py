"""Starts supervisord, and speaks to it over its unix socket: what runs, add, start, stop, remove.

Blocking, each call with a time-out: from a coroutine call it through ``asyncio.to_thread``. It never waits for a
process to start or to stop; callers look again.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ops.adapters import guard
from ops.adapters.supervisord_files import Folder, Program, delete_program, render_config, write_program

CALL_TIMEOUT_SECONDS = 10.0
STOP_SECONDS_MAX = 90.0
"""For all of supervisord's programs together, when nobody is left to end them in order."""
LOG_TAIL_BYTES_MAX = 64_000
# sockaddr_un.sun_path holds 108 bytes with the final zero; supervisord first binds to "<path>.<pid>".
SOCKET_PATH_BYTES_MAX = 107 - len(".4194304")
# supervisor.xmlrpc.Faults
_BAD_NAME, _NOT_RUNNING, _ALREADY_STARTED, _STILL_RUNNING, _ALREADY_ADDED = 10, 70, 60, 91, 90
_SHUTTING_DOWN = 6


class SupervisorError(Exception):
    """supervisord cannot be reached or refuses. Worth another try, unless it is gone for good."""


class State(StrEnum):
    """supervisord's process states."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


ENDED = frozenset({State.STOPPED, State.EXITED, State.FATAL, State.UNKNOWN})


@dataclass(frozen=True)
class Process:
    name: str
    state: State
    pid: int
    """Of its guard; 0 when it does not run."""
    started_unix_seconds: float
    detail: str
    """supervisord's own words: ``pid 12, uptime 0:01:00``, ``exited too quickly``."""


class Supervisor:
    def __init__(self, folder: Folder):
        self.folder = folder

    def processes(self) -> dict[str, Process]:
        """All that supervisord knows, by name. Raises SupervisorError."""
        found = self._call("getAllProcessInfo")
        return {
            row["name"]: Process(row["name"], State(row["statename"]), row["pid"], row["start"], _detail(row))
            for row in found
        }

    def add(self, program: Program) -> None:
        """Declares the program and lets it start; nothing happens if supervisord has one of that name."""
        write_program(self.folder, program)
        try:
            self._call("reloadConfig")
        except SupervisorError:
            delete_program(self.folder, program.name)  # or it would spoil every later reload
            raise
        self._call("addProcessGroup", program.name, accept=(_ALREADY_ADDED,))

    def start(self, name: str) -> None:
        """Starts it again, also after supervisord gave up on it."""
        self._call("startProcess", name, False, accept=(_ALREADY_STARTED,))

    def stop(self, name: str) -> None:
        """Asks it to stop; it is ``STOPPING`` until it has."""
        self._call("stopProcess", name, False, accept=(_NOT_RUNNING, _BAD_NAME))

    def signal(self, name: str, signal_name: str) -> None:
        """Sends ``TERM``, say, to its guard."""
        self._call("signalProcess", name, signal_name, accept=(_NOT_RUNNING, _BAD_NAME))

    def remove(self, name: str) -> bool:
        """Forgets a program that has ended. False if it has not."""
        removed = self._call("removeProcessGroup", name, accept=(_BAD_NAME, _STILL_RUNNING))
        if removed == _STILL_RUNNING:
            return False
        delete_program(self.folder, name)
        return True

    def shutdown(self) -> None:
        """Asks supervisord to stop everything and to end."""
        self._call("shutdown", accept=(_SHUTTING_DOWN,))

    def log_tail(self, name: str, lines: int) -> list[str]:
        return tail(self.folder.log(name), lines)

    def _call(self, method: str, *arguments: object, accept: tuple[int, ...] = ()) -> Any:
        """The answer; the fault's code if it is one of ``accept``."""
        transport = _UnixTransport(self.folder.socket)
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
            try:
                return getattr(server.supervisor, method)(*arguments)
            except xmlrpc.client.Fault as e:
                if e.faultCode in accept:
                    return e.faultCode
                raise SupervisorError(f"supervisord refuses {method}: {e.faultString}") from e
            except (OSError, http.client.HTTPException, xmlrpc.client.Error) as e:
                raise SupervisorError(f"supervisord does not answer: {type(e).__name__}") from e


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path):
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path):
        super().__init__("localhost", timeout=CALL_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def launch(folder: Folder, *, outlives_parent: bool, lock: int | None = None) -> subprocess.Popen[bytes]:
    """Starts a supervisord without any program; the process returned is its guard's. ``lock`` is a descriptor that
    stays open for as long as the guard lives. Unless it outlives its parent, everything ends when the calling
    process does. It answers shortly after: ask ``processes`` until it does. Raises UnusablePath."""
    shutil.rmtree(folder.programs, ignore_errors=True)
    for path in (folder.programs, folder.logs):
        path.mkdir(parents=True, exist_ok=True)
    folder.socket.unlink(missing_ok=True)
    folder.config.write_text(render_config(folder))
    parent = "0" if outlives_parent else str(os.getpid())
    command = [sys.executable, "-I", "-S", guard.__file__, "--parent", parent, "--stop-seconds", str(STOP_SECONDS_MAX)]
    command += ["--", sys.executable, "-m", "supervisor.supervisord", "-c", str(folder.config)]
    with folder.log("supervisor-start").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C on the terminal is for us alone: we end the rest in order
            pass_fds=() if lock is None else (lock,),
        )


def choose_socket(run_dir: Path) -> Path:
    """A socket path that the kernel accepts: in the run folder, or in a private folder of the temporary one."""
    path = run_dir / "supervisor" / "socket"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    return Path(tempfile.mkdtemp(prefix="stack-", dir="/tmp")) / "socket"


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, of its last 64 kB; none if there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES_MAX))
            return list(deque(file.read().decode(errors="replace").splitlines(), maxlen=lines))
    except OSError:
        return []


def _detail(row: dict[str, Any]) -> str:
    return str(row["description"] or row["spawnerr"])
