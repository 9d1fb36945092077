"""Starts Locust without its UI, passes Ctrl-C on to it, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ops.adapters import guard

LOCUSTFILE = Path(__file__).with_name("locusting") / "locustfile.py"
SUITE_VARIABLE = "OPS_LOAD_SUITE"
"""Of the environment of the locustfile that serves every suite."""
STOP_SECONDS_MAX = 180.0
"""From the first Ctrl-C to a kill: what is under way may end, and reports are written."""
QUIET = ("--headless", "--only-summary", "--json", "--skip-log-setup")


def run_locust(suite: str, arguments: Sequence[str]) -> int:
    """Its exit code. A first SIGINT or SIGTERM ends the run in order, a second one at once."""
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *QUIET, *arguments]
    guarded = [sys.executable, "-I", "-S", guard.__file__, "--stop-signal", "SIGINT"]
    guarded += ["--stop-seconds", str(STOP_SECONDS_MAX), "--", *command]
    process: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _: FrameType | None) -> None:
        if process is not None:
            process.send_signal(number)

    with _handling(pass_on):
        process = subprocess.Popen(
            guarded,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # Locust's own summary, of figures that nothing is judged by
            env={**os.environ, SUITE_VARIABLE: suite},
            start_new_session=True,  # a terminal's Ctrl-C reaches us alone
        )
        return process.wait()


@contextmanager
def _handling(handler: signal._HANDLER) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
