"""One run within one Locust process: a driver where requests are sent, and everybody's figures where they are judged.

A worker sends what its driver recorded along with Locust's own reports; the master, or the only process, keeps them.
The master gives its workers the plan, so that they need neither the spec nor the trace.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner, WorkerRunner

from ops.loadtest.frames import Report
from ops.loadtest.locusting.driving import Driving
from ops.loadtest.locusting.shown import show
from ops.loadtest.plan import Plan

KEY = "load"
"""Of Locust's reports to its master."""
MESSAGE = "load_plan"


class Given(msgspec.Struct, frozen=True):
    """From master to worker, before its first user."""

    plan: Plan
    users_total: int


class Sending:
    """The part of a run that sends: in a worker, or in the only process. ``take`` gets the reports of its driver."""

    def __init__(self, take: Callable[[Report], None]) -> None:
        self._take = take
        self._driving: Driving | None = None

    def begin(self, given: Given, number: int) -> None:
        """``number`` tells workers apart: each draws its own arrivals and requests."""
        plan = msgspec.structs.replace(given.plan, seed=given.plan.seed + number)
        self._driving = Driving(plan, given.users_total, self._take)

    def join(self) -> None:
        if self._driving is not None:
            self._driving.join()

    def leave(self) -> None:
        if self._driving is not None:
            self._driving.leave()

    def end(self) -> None:
        """Sends nothing more."""
        if self._driving is not None:
            self._driving.end()

    def finish(self) -> None:
        """Waits for what is under way, within its bound."""
        if self._driving is not None:
            self._driving.stop()
            self._driving = None


class WorkerSession:
    """What a worker of a distributed run does."""

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        self._environment, self._runner = environment, runner
        self._given: Given | None = None
        self._unsent: list[Report] = []
        self.sending = Sending(self._reported)
        runner.register_message(MESSAGE, self._take_plan)
        events = environment.events
        events.test_start.add_listener(self._start)
        events.test_stopping.add_listener(lambda **_: self.sending.end())
        events.test_stop.add_listener(self._stop)
        events.report_to_master.add_listener(self._report)

    def _take_plan(self, msg: Message, **_: object) -> None:
        self._given = msgspec.msgpack.decode(msg.data["given"], type=Given)

    def _start(self, **_: object) -> None:
        given, self._given = self._given, None
        if given is not None:  # without a plan it came too late: its users stand for nothing, and the master knows
            self.sending.begin(given, self._runner.worker_index)

    def _stop(self, **_: object) -> None:
        self.sending.finish()
        self._runner._send_stats()  # the last report must reach the master before this worker says that it has stopped

    def _reported(self, report: Report) -> None:
        self._unsent.append(report)

    def _report(self, data: dict[str, object], **_: object) -> None:
        unsent, self._unsent = self._unsent, []
        data[KEY] = msgspec.msgpack.encode(unsent)


class Gathering:
    """Everybody's reports, where they are judged: in the master, or in the only process."""

    def __init__(self, environment: Environment, plan: Plan, take: Callable[[str, Report], None]) -> None:
        self._environment, self._plan, self._take = environment, plan, take
        self.final: set[str] = set()
        """Whose last report came."""

    def reported(self, name: str, report: Report) -> None:
        show(self._environment.stats, self._plan, report)
        if report.final:
            self.final.add(name)
        self._take(name, report)

    def received(self, client_id: str, data: dict[str, bytes]) -> None:
        """A worker's report, as Locust hands it on."""
        for report in msgspec.msgpack.decode(data.get(KEY, b"\x90"), type=list[Report]):
            self.reported(client_id, report)


def workers(environment: Environment) -> tuple[str, ...]:
    """Names of the workers that a master knows and hears of."""
    runner = environment.runner
    if not isinstance(runner, MasterRunner):
        return ()
    return tuple(client.id for client in runner.clients.all if client.state != "missing")
