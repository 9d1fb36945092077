"""Stacks as people start them: by the command line, in a folder and at ports of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from ops.stack.state import StackState, load_stack

DEADLINE_SECONDS = 90.0
ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], object], words: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s in vain: {words}"
        time.sleep(0.05)


@dataclass
class Commands:
    """``ops stack VERB`` for one run folder."""

    run_dir: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def arguments(self, verb: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "ops.cli.main", "stack", verb, "--run-dir", str(self.run_dir), *more]

    def run(self, verb: str, *more: str) -> subprocess.CompletedProcess[str]:
        return _run(self.arguments(verb, *more))

    def ops(self, noun: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Another command on the same run folder."""
        return _run([sys.executable, "-m", "ops.cli.main", noun, "--run-dir", str(self.run_dir), *more])

    def up(self, *more: str) -> subprocess.Popen[str]:
        """In the foreground: returns once it has shown its table."""
        log = self.run_dir.with_suffix(f".up{len(self.started)}")
        with log.open("w") as file:
            process = subprocess.Popen(
                self.arguments("up", "--port", "0", *more), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self.started.append(process)  # type: ignore[arg-type]
        wait_until(lambda: process.poll() is not None or "Ctrl-C ends it" in log.read_text(), log.read_text())
        assert process.poll() is None, log.read_text()
        return process  # type: ignore[return-value]

    def said(self) -> str:
        """What the last ``up`` has printed."""
        return self.run_dir.with_suffix(f".up{len(self.started) - 1}").read_text()

    def state(self) -> StackState:
        return load_stack(self.run_dir)

    def tree(self) -> list[psutil.Process]:
        """The supervisor's guard and all that lives below it."""
        guard = psutil.Process(self.state().supervisor_pid)
        return [guard, *guard.children(recursive=True)]


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )


def ended(processes: list[psutil.Process]) -> bool:
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def until() -> Callable[[Callable[[], object], str], None]:
    return wait_until


@pytest.fixture
def all_ended() -> Callable[[list[psutil.Process]], bool]:
    return ended


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(tmp_path / "run")
    yield commands
    _end(commands)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A whole stack that several tests look at."""
    commands = Commands(tmp_path_factory.mktemp("stack") / "run")
    done = commands.run("up", "--port", "0", "--detach")
    assert done.returncode == 0, done.stderr
    yield commands
    _end(commands)


def _end(commands: Commands) -> None:
    done = commands.run("down")
    for process in commands.started:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, 9)
            process.wait(30)
    assert done.returncode == 0, done.stderr
