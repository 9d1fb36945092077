"""Reads this machine's clocks."""

from __future__ import annotations

import secrets
import time
from functools import cache
from pathlib import Path

from ops.rollout.record import Clock

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_clocks() -> tuple[float, Clock]:
    """Unix seconds now, and the clock that they were read from."""
    now = time.time()
    return now, Clock(_boot(), now - time.monotonic())


@cache
def _boot() -> str:
    """Where the system does not tell, each process stands for a boot of its own: its clock compares with no other's."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return secrets.token_hex(8)
