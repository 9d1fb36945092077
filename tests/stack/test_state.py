"""What a run folder says of its stack, and keeps to itself."""

from __future__ import annotations

import fcntl
from pathlib import Path

import msgspec
import pytest

from ops.stack.state import (
    NotRunning,
    StackError,
    StackState,
    Worker,
    clear_stale,
    is_running,
    keep_secrets,
    load_secrets,
    load_stack,
    lock_path,
    save_stack,
    url_with_password,
    url_without_password,
)


@pytest.fixture
def state(tmp_path: Path) -> StackState:
    return StackState(
        run_dir=str(tmp_path),
        environment="development",
        spec_path="gratefulgpt.yaml",
        engine="simulated",
        database_url="postgresql://someone@127.0.0.1:5432/name",
        database_is_ours=True,
        gateway_url="http://127.0.0.1:8080",
        workers=(Worker("gateway-0", "http://127.0.0.1:9000"),),
        controller_url="http://127.0.0.1:9001",
        prometheus_url=None,
        supervisor_pid=1,
        supervisor_socket=str(tmp_path / "socket"),
        started_unix_seconds=0.0,
    )


def test_a_folder_without_a_stack_says_how_to_start_one(tmp_path: Path, state: StackState) -> None:
    with pytest.raises(NotRunning, match="ops stack up"):
        load_stack(tmp_path / "nothing")
    save_stack(state)  # left by a stack that was killed
    lock_path(tmp_path).touch()
    with pytest.raises(NotRunning):
        load_stack(tmp_path)


def test_a_stack_runs_for_as_long_as_its_lock_is_held(tmp_path: Path, state: StackState) -> None:
    with lock_path(tmp_path).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_running(tmp_path)
        with pytest.raises(StackError, match="only just starting"):
            load_stack(tmp_path)
        save_stack(state)
        assert load_stack(tmp_path) == state
        save_stack(msgspec.structs.replace(state, version=99))
        with pytest.raises(StackError, match="version 99"):
            load_stack(tmp_path)
        (tmp_path / "stack.json").write_text("{half")
        with pytest.raises(StackError, match="damaged"):
            load_stack(tmp_path)
    assert not is_running(tmp_path)
    clear_stale(tmp_path)
    assert not (tmp_path / "stack.json").exists()


def test_a_socket_folder_elsewhere_goes_with_the_stack(tmp_path: Path, state: StackState) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "socket").touch()
    (tmp_path / "run").mkdir()
    moved = {"run_dir": str(tmp_path / "run"), "supervisor_socket": str(elsewhere / "socket")}
    save_stack(msgspec.structs.replace(state, **moved))
    clear_stale(tmp_path / "run")
    assert not elsewhere.exists()


def test_secrets_are_kept_private_and_never_shown(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="cannot be read"):
        load_secrets(tmp_path)
    made = keep_secrets(tmp_path, "one")
    assert len({made.admin_key, made.synthetic_token}) == 2
    assert len(made.admin_key) >= 32
    again = keep_secrets(tmp_path, "two")
    assert (again.admin_key, again.synthetic_token) == (made.admin_key, made.synthetic_token)
    assert again.database_password == "two"
    assert load_secrets(tmp_path) == again
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert made.admin_key not in repr(made)


@pytest.mark.parametrize("password", ["plain", "p@ss:w/rd#?%", ""])
def test_a_password_leaves_a_url_and_comes_back(password: str) -> None:
    url = "postgresql://someone@127.0.0.1:5432/name?sslmode=disable"
    whole = url_with_password(url, password)
    assert url_without_password(whole) == (url, password)


def test_a_url_without_a_user_is_left_alone() -> None:
    assert url_with_password("postgresql:///name", "x") == "postgresql:///name"
    assert url_without_password("postgresql:///name") == ("postgresql:///name", "")
