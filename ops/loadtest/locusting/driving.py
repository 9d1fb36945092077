"""The driver's process of one Locust process: started with the run, told of users, listened to, waited for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import gevent
import msgspec

from ops.loadtest.frames import Adjust, Begin, Report, Stop, read, write
from ops.loadtest.plan import Plan

SETTLE_SECONDS = 0.05
"""Locust's users come and go in crowds: the driver is told of them together."""
STOP_SECONDS_EXTRA = 10.0
"""Beyond the plan's own bound for what is under way; then the process is ended."""


class Driving:
    """``take`` gets each report, the final one included, in the order of their making."""

    def __init__(self, plan: Plan, users_total: int, take: Callable[[Report], None]) -> None:
        self._plan, self._users_total, self._take = plan, users_total, take
        self._users = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ops.loadtest.driver_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._begun = self._stopping = False
        self._telling: gevent.Greenlet | None = None
        self._listening = gevent.spawn(self._listen)
        self.final: Report | None = None

    def join(self) -> None:
        """One more user of this process."""
        self._changed(self._users + 1)

    def leave(self) -> None:
        self._changed(self._users - 1)

    def end(self) -> None:
        """Nothing more is sent from now on; what is under way may end. Users that leave after this change nothing."""
        if not self._stopping:
            self._stopping = True
            self._say(Stop())

    def stop(self) -> None:
        """Waits for the final report, within its bound; what comes later is lost, and ``final`` stays None."""
        self.end()
        self._listening.join(self._plan.drain_seconds_max + STOP_SECONDS_EXTRA)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _changed(self, users: int) -> None:
        self._users = users
        if self._telling is None and not self._stopping:
            self._telling = gevent.spawn_later(SETTLE_SECONDS, self._tell)

    def _tell(self) -> None:
        self._telling = None
        if self._stopping:
            return
        share = min(1.0, self._users / self._users_total)
        if self._begun:
            self._say(Adjust(share, self._users))
        else:
            self._begun = True
            self._say(Begin(self._plan, share, self._users))

    def _say(self, order: Begin | Adjust | Stop) -> None:
        try:
            if self._process.stdin is not None:
                write(self._process.stdin, order)  # type: ignore[arg-type]
        except (BrokenPipeError, ValueError):
            pass  # it is gone: what it reported stays, and its obituary makes the run invalid

    def _listen(self) -> None:
        stdout = self._process.stdout
        try:
            while stdout is not None and (data := read(stdout)) is not None:  # type: ignore[arg-type]
                report = msgspec.msgpack.decode(data, type=Report)
                if report.final:
                    self.final = report
                self._take(report)
        except ValueError:
            pass  # it was killed within a report
        if self.final is None:
            self._take(self._obituary())

    def _obituary(self) -> Report:
        """In the place of a driver that cannot say it: what was under way is lost, and the run with it."""
        code = self._process.wait()
        error = f"the driver ended by itself, with {code}: what it had under way is not known"
        return Report(time.time(), 0.0, (), 0, 0, 0, 0.0, 0, final=True, error=error)
