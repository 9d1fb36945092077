"""Processes for the tests of the vLLM launcher: who is alive, who belongs to whom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import pytest

WAIT_SECONDS_MAX = 60.0
Eventually = Callable[..., None]


@dataclass(frozen=True)
class Family:
    """A process and all that came from it, as it was when it was looked at."""

    members: tuple[psutil.Process, ...]

    @classmethod
    def of(cls, pid: int) -> Family:
        root = psutil.Process(pid)
        return cls((root, *root.children(recursive=True)))

    def living(self) -> list[int]:
        """Pids still alive; a zombie that waits to be reaped is dead."""
        return [process.pid for process in self.members if _alive(process)]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def family_of() -> Callable[[int], Family]:
    return Family.of


@pytest.fixture
def eventually() -> Eventually:
    """Waits until a condition holds, and fails by its name after a minute or what is said."""

    def wait(what: str, condition: Callable[[], bool], seconds_max: float = WAIT_SECONDS_MAX) -> None:
        deadline = time.monotonic() + seconds_max
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds_max:g} s: {what}")
            time.sleep(0.1)

    return wait
