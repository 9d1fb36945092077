"""What others know of a running stack: where everything is, and the secrets; both files of its run folder.

``stack.json`` is public; ``secrets.json`` is for its owner alone. Whether the stack runs is a question to a file
lock, which no ``kill -9`` leaves behind, and never to a pid.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from ops.adapters.supervisord_files import Folder
from ops.stack.options import Counters, Omitted

VERSION = 1
SECRET_BYTES = 32
T = TypeVar("T")


class StackError(Exception):
    """The stack cannot be had as asked; the message says why and what to do."""


class NotRunning(StackError):
    """No stack runs in that folder."""


class AlreadyRunning(StackError):
    """Another stack runs in that folder."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(
            f"a stack runs in {run_dir} already: look with `ops stack status`, end it with `ops stack down`, "
            "or choose another --run-dir"
        )


class Worker(msgspec.Struct, frozen=True):
    name: str
    admin_url: str


class StackState(msgspec.Struct, frozen=True):
    """A stack that runs, or that is being started."""

    run_dir: str
    environment: str
    spec_path: str
    engine: str
    """What engines are by default: ``simulated`` or ``vllm``."""
    database_url: str
    """Without its password: see ``database_url_with``."""
    database_is_ours: bool
    gateway_url: str
    workers: tuple[Worker, ...]
    controller_url: str
    prometheus_url: str | None
    supervisor_pid: int
    """Of the guard around supervisord."""
    supervisor_socket: str
    started_unix_seconds: float
    without: tuple[Omitted, ...] = ()
    """Parts that it was started without."""
    counters: Counters = Counters.DIRECT
    alertmanager_url: str | None = None
    exporter_urls: dict[str, str] = {}
    """By job in Prometheus: ``node``, ``postgres``."""
    version: int = VERSION

    @property
    def folder(self) -> Folder:
        return Folder(Path(self.run_dir), Path(self.supervisor_socket))

    @property
    def targets_file(self) -> Path:
        """Where Prometheus finds the engines."""
        return Path(self.run_dir) / "prometheus" / "targets" / "replicas.json"

    def database_url_with(self, password: str) -> str:
        """The database's URL to connect with."""
        return url_with_password(self.database_url, password)


class Secrets(msgspec.Struct, frozen=True):
    admin_key: str
    synthetic_token: str
    database_password: str
    """Empty where the database's URL came without one."""

    def __repr__(self) -> str:
        return "Secrets(...)"


def url_with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    if not password or parts.username is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{quote(password, safe='')}@{host}"))


def url_without_password(url: str) -> tuple[str, str]:
    """The URL and the password that stood in it, or an empty one."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{host}")), unquote(parts.password)


def load_stack(run_dir: Path) -> StackState:
    """The stack that runs in ``run_dir``. Raises NotRunning if none does, StackError if its file cannot be read."""
    if not is_running(run_dir):
        raise NotRunning(f"no stack runs in {run_dir}: start one with `ops stack up --run-dir {run_dir}`")
    path = _state_path(run_dir)
    if not path.exists():
        raise StackError(f"the stack in {run_dir} is only just starting: try again in a moment")
    state = _read(path, StackState)
    if state.version != VERSION:
        raise StackError(f"{path} is of version {state.version}, this is {VERSION}: use the version that started it")
    return state


def load_secrets(run_dir: Path) -> Secrets:
    """Raises StackError if there are none or they cannot be read."""
    return _read(_secrets_path(run_dir), Secrets)


def save_stack(state: StackState) -> None:
    write_private(_state_path(Path(state.run_dir)), msgspec.json.format(msgspec.json.encode(state)), mode=0o644)


def forget_stack(state: StackState) -> None:
    """Removes what speaks of a stack that has ended."""
    socket = Path(state.supervisor_socket)
    socket.unlink(missing_ok=True)
    if not socket.is_relative_to(state.run_dir) and socket.parent.is_dir():
        socket.parent.rmdir()
    _state_path(Path(state.run_dir)).unlink(missing_ok=True)


def clear_stale(run_dir: Path) -> None:
    """Removes what a killed stack left; the caller holds the lock, so that none runs."""
    try:
        state = _read(_state_path(run_dir), StackState)
    except StackError:
        _state_path(run_dir).unlink(missing_ok=True)
    else:
        forget_stack(state)


def clear_all(run_dir: Path) -> None:
    """Removes all that an ended stack left, its data too; the caller holds the lock, which alone stays."""
    for left in run_dir.iterdir():
        if left == lock_path(run_dir):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def keep_secrets(run_dir: Path, database_password: str) -> Secrets:
    """The folder's keys, made where they are missing, with the password of the database in use."""
    try:
        kept = load_secrets(run_dir)
    except StackError:
        kept = Secrets(secrets.token_urlsafe(SECRET_BYTES), secrets.token_urlsafe(SECRET_BYTES), database_password)
    chosen = msgspec.structs.replace(kept, database_password=database_password)
    write_private(_secrets_path(run_dir), msgspec.json.encode(chosen))
    return chosen


def own_password(run_dir: Path) -> str:
    """The password of the database of our own, or a new one if the folder holds none."""
    try:
        return own_password_path(run_dir).read_text()
    except FileNotFoundError:
        return secrets.token_urlsafe(SECRET_BYTES)


def own_password_path(run_dir: Path) -> Path:
    """Apart from ``secrets.json``, which may hold the password of a database that somebody else runs."""
    return run_dir / "postgres" / "password"


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes the whole file or nothing, readable by its owner alone unless ``mode`` says otherwise."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    new.replace(path)


def lock_path(run_dir: Path) -> Path:
    """Locked exclusively for as long as a stack runs there."""
    return run_dir / "stack.lock"


def is_running(run_dir: Path) -> bool:
    try:
        with lock_path(run_dir).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as e:
        raise StackError(f"{path} cannot be read: {e.strerror}") from e
    except msgspec.MsgspecError as e:
        raise StackError(f"{path} is damaged ({type(e).__name__}): end the stack, delete the file, start again") from e


def _state_path(run_dir: Path) -> Path:
    return run_dir / "stack.json"


def _secrets_path(run_dir: Path) -> Path:
    return run_dir / "secrets.json"
