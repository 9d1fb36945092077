"""Moments on the command line: absolute ones in UTC, and so long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ops.cli.output import fail_usage

_AGO = re.compile(r"(\d+)\s*(s|m|min|h|d)")
_UNIT_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def utc(unix_seconds: float) -> str:
    """``2026-11-25T12:53:17.123Z``: absolute, and it sorts."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_moment(text: str, now: float) -> float:
    """Unix seconds of ``2026-11-25``, ``2026-11-25T12:53Z`` (UTC where no zone is given), or ``90m``, ``7d`` ago.

    Raises CommandError.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return now - int(ago[1]) * _UNIT_SECONDS[ago[2]]
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        fail_usage(f"{text!r} is no moment: give 2026-11-25, 2026-11-25T12:53Z, or 90m, 2h, 7d for so long ago")
