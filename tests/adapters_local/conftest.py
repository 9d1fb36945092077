"""What the tests of processes share: waiting for a condition with a bounded deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import pytest

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
