"""Users of Locust, ours and stock ones, that send the same request as fast as they can; for ``benchmarks.load.cost``.

``LOAD_BENCHMARK`` names the class; ours takes its plan and leaves its reports in the files of ``LOAD_BENCHMARK_PLAN``
and ``LOAD_BENCHMARK_REPORTS``.
"""

from __future__ import annotations

import os
from pathlib import Path

import gevent
import msgspec
from locust import FastHttpUser, HttpUser, User, events, task

from benchmarks.load.running import BODY
from ops.loadtest.frames import Report
from ops.loadtest.locusting.session import Gathering, Given, Sending
from ops.loadtest.plan import Plan

WANTED = os.environ["LOAD_BENCHMARK"]
HEADERS = {"content-type": "application/json"}
PATH = "/v1/chat/completions"


class Fast(FastHttpUser):
    abstract = WANTED != "fast"

    @task
    def ask(self) -> None:
        self.client.post(PATH, data=BODY, headers=HEADERS)


class Plain(HttpUser):
    abstract = WANTED != "plain"

    @task
    def ask(self) -> None:
        self.client.post(PATH, data=BODY, headers=HEADERS)


class Ours(User):
    """One of the driver's users, as in the suites."""

    abstract = WANTED != "ours"
    sending: Sending

    def on_start(self) -> None:
        self.sending.join()

    def on_stop(self) -> None:
        self.sending.leave()

    @task
    def hold(self) -> None:
        gevent.sleep(3600)


if WANTED == "ours":
    PLAN = msgspec.msgpack.decode(Path(os.environ["LOAD_BENCHMARK_PLAN"]).read_bytes(), type=Plan)

    @events.init.add_listener
    def begin(environment, **_) -> None:  # type: ignore[no-untyped-def]
        kept: list[Report] = []
        gathering = Gathering(environment, PLAN, lambda _, report: kept.append(report))
        Ours.sending = Sending(lambda report: gathering.reported("local", report))
        users = environment.parsed_options.num_users
        environment.events.test_start.add_listener(lambda **_: Ours.sending.begin(Given(PLAN, users), 0))
        environment.events.test_stopping.add_listener(lambda **_: Ours.sending.end())

        def finish(**_: object) -> None:
            Ours.sending.finish()
            Path(os.environ["LOAD_BENCHMARK_REPORTS"]).write_bytes(msgspec.msgpack.encode(kept))

        environment.events.test_stop.add_listener(finish)
