"""PostgreSQL of our own: with a password, on loopback alone, durable, and on data that survives."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from ops.store import server
from ops.store.errors import StoreUnavailable

Run = Callable[..., AbstractContextManager[str]]


def test_the_wheel_holds_a_postgresql_new_enough() -> None:
    assert server.find_binaries().version_major >= server.VERSION_MAJOR_MIN


def test_a_folder_without_postgresql_is_named(tmp_path: Path) -> None:
    with pytest.raises(server.ServerError, match=f"{tmp_path} holds no postgres and no initdb"):
        server.find_binaries(tmp_path)


def test_a_program_that_is_no_postgresql_is_refused(tmp_path: Path) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\necho something else\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(server.ServerError, match="not a version of PostgreSQL"):
        server.find_binaries(tmp_path)


@pytest.mark.server
def test_a_failed_initdb_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    for name, text in (("postgres", "echo 'postgres (PostgreSQL) 18.4'"), ("initdb", "echo no room >&2; exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(server.ServerError, match="initdb failed with status 1: no room"):
        server.prepare(server.find_binaries(tmp_path), tmp_path / "pg" / "data", "x", password_is_new=True)
    assert not (tmp_path / "pg" / "data").exists()
    assert not list((tmp_path / "pg").glob("*password*"))


@pytest.mark.server
def test_it_answers_to_the_password_alone(server_url: str) -> None:
    server.ping(server_url)
    with pytest.raises(StoreUnavailable) as refused:
        server.ping(server_url.replace("a-password-of-this-test", "a-wrong-guess"))
    assert "a-wrong-guess" not in str(refused.value)
    with pytest.raises(StoreUnavailable):
        server.ping(server_url.replace(":a-password-of-this-test", ""))


@pytest.mark.server
def test_it_is_durable_private_and_stores_no_plain_password(server_url: str, prepared: Path) -> None:
    with psycopg.connect(server_url) as connection:

        def setting(name: str) -> str:
            row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            assert row is not None
            return str(row[0])

        assert setting("fsync") == setting("full_page_writes") == setting("synchronous_commit") == "on"
        assert setting("listen_addresses") == "127.0.0.1"
        assert setting("unix_socket_directories") == ""
        assert setting("data_checksums") == "on"
        row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (server.ROLE,)).fetchone()
        assert row is not None
        assert row[0].startswith("SCRAM-SHA-256$")
    assert "trust" not in [line.split()[-1] for line in (prepared / "pg_hba.conf").read_text().splitlines() if line]
    assert prepared.stat().st_mode & 0o777 == 0o700


@pytest.mark.server
def test_the_database_is_created_once(server_url: str) -> None:
    server.ensure_database(server_url)
    server.ensure_database(server_url)
    server.ping(server_url.replace("/postgres", f"/{server.DATABASE}"))


@pytest.mark.server
def test_data_and_a_lost_password_survive_a_restart(tmp_path: Path, run_server: Run) -> None:
    binaries = server.find_binaries()
    data = tmp_path / "pg" / "data"
    (tmp_path / "pg" / "data.new" / "half").mkdir(parents=True)  # of a start that was killed
    server.prepare(binaries, data, "first", password_is_new=True)
    with run_server(binaries, data, "first") as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.prepare(binaries, data, "it's the 'second'", password_is_new=True)
    with run_server(binaries, data, "it's the 'second'") as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        if os.geteuid() == 0:
            pid = int((data / "postmaster.pid").read_text().split()[0])
            assert os.stat(f"/proc/{pid}").st_uid != 0


@pytest.mark.server
def test_data_of_another_version_is_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("13\n")
    with pytest.raises(server.ServerError, match="written by PostgreSQL 13"):
        server.prepare(server.find_binaries(), data, "x", password_is_new=False)
