"""What the tests of processes share: waiting for a condition with a bounded deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ops.adapters.supervisord import Supervisor, SupervisorError, choose_socket, launch
from ops.adapters.supervisord_files import Folder

DEADLINE_SECONDS = 30.0


@pytest.fixture
def until() -> Callable[[Callable[[], object], str], None]:
    """``until(condition, words)``: waits for the condition; fails the test with the words after 30 s."""

    def wait(condition: Callable[[], object], words: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s in vain: {words}"
            time.sleep(0.02)

    return wait


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """``alive(pid)``: whether the process runs; a zombie has ended."""

    def look(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return look


@pytest.fixture
def supervisor(tmp_path: Path, until: Callable[[Callable[[], object], str], None]) -> Iterator[Supervisor]:
    """A real supervisord without programs, ended after the test."""
    run_dir = tmp_path / "a run"  # a path that wants care
    folder = Folder(run_dir, choose_socket(run_dir))
    process = launch(folder, outlives_parent=False)
    supervisor = Supervisor(folder)

    def answers() -> bool:
        assert process.poll() is None, folder.log("supervisor-start").read_text()
        try:
            supervisor.processes()
        except SupervisorError:
            return False
        return True

    try:
        until(answers, "supervisord answers")
        yield supervisor
    finally:
        process.terminate()
        process.terminate()
        process.wait(60)
