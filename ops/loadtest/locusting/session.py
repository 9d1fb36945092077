"""One run within one Locust process: a driver where requests are sent, and everybody's figures where they are judged.

A worker sends what its driver recorded along with Locust's own reports; the master, or the only process, keeps them.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent
import msgspec
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from ops.loadtest.frames import Report
from ops.loadtest.locusting.driving import Driving
from ops.loadtest.locusting.shown import show
from ops.loadtest.plan import Plan

KEY = "load"
"""Of Locust's reports to its master."""


class Session:
    """``take`` gets every report of every driver, with the name of the process whose it is."""

    def __init__(self, environment: Environment, plan: Plan, users_total: int, take: Callable[[str, Report], None]):
        self.environment, self.plan, self.users_total = environment, plan, users_total
        self._take = take
        self._driving: Driving | None = None
        self._unsent: list[Report] = []
        events = environment.events
        events.test_start.add_listener(self._start)
        events.test_stop.add_listener(self._stop)
        events.report_to_master.add_listener(self._report)
        events.worker_report.add_listener(self._received)

    def join(self) -> None:
        if self._driving is not None:
            self._driving.join()

    def leave(self) -> None:
        if self._driving is not None:
            self._driving.leave()

    def _start(self, **_: object) -> None:
        if not isinstance(self.environment.runner, MasterRunner):
            self._driving = Driving(self.plan, self.users_total, self._reported)

    def _stop(self, **_: object) -> None:
        if self._driving is not None:
            self._driving.stop()
            self._driving = None

    def _reported(self, report: Report) -> None:
        show(self.environment.stats, self.plan, report)
        if isinstance(self.environment.runner, WorkerRunner):
            self._unsent.append(report)
        else:
            self._take("local", report)

    def _report(self, data: dict[str, object], **_: object) -> None:
        unsent, self._unsent = self._unsent, []
        data[KEY] = msgspec.msgpack.encode(unsent)

    def _received(self, client_id: str, data: dict[str, bytes], **_: object) -> None:
        for report in msgspec.msgpack.decode(data.get(KEY, b"\x90"), type=list[Report]):
            self._take(client_id, report)


def hold() -> None:
    """What a user of Locust does: it stands for one of the driver's, until Locust stops it."""
    while True:
        gevent.sleep(60)
