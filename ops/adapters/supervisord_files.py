"""What supervisord reads: its own configuration, and two files for each program.

A program's argument list and environment go into a JSON file for the guard, not into supervisord's configuration,
whose quoting cannot carry every word. Pure but for ``write_program`` and ``delete_program``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops.adapters import guard

LOG_BYTES_MAX = 10_000_000
LOG_BACKUPS = 3
KILL_MARGIN_SECONDS = 8
"""supervisord's own SIGKILL comes this long after the guard should have ended the program."""
# What supervisord's configuration would take for an expansion (twice, in places), a comment, a pattern, an end of line.
_FORBIDDEN = ("%", "\n", " ;", " #", "[", "]", "*", "?")


class UnusablePath(ValueError):
    """The run folder's path cannot be written into supervisord's configuration."""


@dataclass(frozen=True)
class Program:
    """A process that should run for as long as supervisord does."""

    name: str
    """Letters, digits and dashes."""
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"
    stop_seconds: float = 10.0
    user: str | None = None
    start_seconds: int = 2
    """A process that ends sooner has failed to start."""
    start_retries: int = 3
    """After so many failed starts in a row (with growing pauses) supervisord gives up: FATAL."""
    priority: int = 500
    """When supervisord itself is asked to end, it stops the highest first."""


@dataclass(frozen=True)
class Folder:
    """Where a supervisor's files are."""

    run_dir: Path
    socket: Path

    @property
    def config(self) -> Path:
        return self.run_dir / "supervisor" / "supervisord.conf"

    @property
    def programs(self) -> Path:
        return self.run_dir / "supervisor" / "programs"

    @property
    def logs(self) -> Path:
        return self.run_dir / "logs"

    @property
    def programs_lock(self) -> Path:
        """Held, shared, by the guard of each program for as long as it lives."""
        return self.run_dir / "supervisor" / "programs.lock"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def render_config(folder: Folder) -> str:
    """supervisord.conf. Raises UnusablePath."""
    lines = ["[unix_http_server]", f"file = {_value(folder.socket)}", "chmod = 0700", ""]
    lines += ["[supervisord]", f"logfile = {_value(folder.log('supervisord'))}", f"logfile_maxbytes = {LOG_BYTES_MAX}"]
    lines += [f"logfile_backups = {LOG_BACKUPS}", f"pidfile = {_value(folder.config.with_suffix('.pid'))}"]
    lines += ["nodaemon = true", "silent = true", "nocleanup = true", "minfds = 1024", "minprocs = 64"]
    if os.geteuid() == 0:
        lines += ["user = root"]  # said aloud, or supervisord warns; the guard drops privileges where they matter
    lines += ["", "[rpcinterface:supervisor]"]
    lines += ["supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface", ""]
    # Relative to this file: absolute paths with a space in them would be split.
    lines += ["[include]", "files = programs/*.conf"]
    return "\n".join(lines) + "\n"


def render_program(folder: Folder, program: Program) -> str:
    """The program's section. Raises UnusablePath."""
    command = [sys.executable, "-I", "-S", guard.__file__, "--program", str(_order_path(folder, program.name))]
    options = {
        "command": _value(shlex.join(command)),
        "autostart": "true",
        "autorestart": "true",
        "startsecs": program.start_seconds,
        "startretries": program.start_retries,
        # The guard alone is told to stop, and passes it on once: programs take a second signal for impatience.
        "stopsignal": "TERM",
        "stopasgroup": "false",
        "killasgroup": "true",
        "stopwaitsecs": int(program.stop_seconds + guard.KILL_SECONDS_MAX + KILL_MARGIN_SECONDS),
        "priority": program.priority,
        "redirect_stderr": "true",
        "stdout_logfile": _value(folder.log(program.name)),
        "stdout_logfile_maxbytes": LOG_BYTES_MAX,
        "stdout_logfile_backups": LOG_BACKUPS,
    }
    return "\n".join([f"[program:{program.name}]", *(f"{key} = {value}" for key, value in options.items())]) + "\n"


def render_order(folder: Folder, program: Program) -> str:
    """What the program's guard reads."""
    order = {
        "command": list(program.command),
        "environment": dict(program.environment),
        "stop_signal": program.stop_signal,
        "stop_seconds": program.stop_seconds,
        "user": program.user,
        "lock": str(folder.programs_lock),
    }
    return json.dumps(order, indent=1, sort_keys=True) + "\n"


def is_program_name(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9-]{1,100}", name) is not None


def write_program(folder: Folder, program: Program) -> None:
    """Declares the program; supervisord knows it once it has read its configuration again."""
    if not is_program_name(program.name):
        raise ValueError(f"{program.name!r} is no name for a program: letters, digits and dashes")
    _write(_order_path(folder, program.name), render_order(folder, program))
    _write(_section_path(folder, program.name), render_program(folder, program))


def delete_program(folder: Folder, name: str) -> None:
    _section_path(folder, name).unlink(missing_ok=True)
    _order_path(folder, name).unlink(missing_ok=True)


def _order_path(folder: Folder, name: str) -> Path:
    return folder.programs / f"{name}.json"


def _section_path(folder: Folder, name: str) -> Path:
    return folder.programs / f"{name}.conf"


def _write(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


def _value(value: str | Path) -> str:
    text = str(value)
    if found := [mark for mark in _FORBIDDEN if mark in text]:
        raise UnusablePath(f"{text!r} holds {found[0]!r}, which supervisord cannot read: use another --run-dir")
    return text
