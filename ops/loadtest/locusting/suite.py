"""A locustfile in two lines: ``User, Shape = load_suite("stress")``."""

from __future__ import annotations

import sys
from typing import Any

import gevent
from locust import LoadTestShape, User, events, task
from locust.env import Environment
from locust.runners import WorkerRunner

from ops.adapters.spec_file import load_spec
from ops.loadtest.locusting.finishing import finish
from ops.loadtest.locusting.leading import Leading
from ops.loadtest.locusting.options import Fixed, add_options, fixed
from ops.loadtest.locusting.progress import show_progress
from ops.loadtest.locusting.session import Sending, WorkerSession
from ops.loadtest.preparing import CannotRun
from ops.loadtest.reporting_metrics import serve_metrics
from ops.spec.faults import SpecError
from ops.verdict import EXIT_USAGE

NAP_SECONDS = 3600.0


class _Suite:
    """What the users and the shape of one locustfile share, once Locust has made its environment."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sending: Sending | None = None
        self.leading: Leading | None = None
        events.init_command_line_parser.add_listener(lambda parser, **_: add_options(parser))
        events.init.add_listener(self._begin)

    def _begin(self, environment: Environment, **_: object) -> None:
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            self.sending = WorkerSession(environment, runner).sending
            return
        of = fixed(environment)
        self.leading = Leading(environment, self.name, of, lambda *done: finish(environment, *done))
        self.sending = self.leading.sending
        if of.prometheus:
            self._serve(of)
        if of.headless:
            gevent.spawn(show_progress, self.leading)
            self._prepare()

    def _serve(self, of: Fixed) -> None:
        """The run's own metrics, for as long as this process lives."""
        try:
            measuring = load_spec(of.spec).measuring
            serve_metrics(of.prometheus, lambda: self.leading.collecting if self.leading else None, measuring)
        except (SpecError, OSError, ValueError, OverflowError) as e:
            print(f"load: --prometheus {of.prometheus}: {e}", file=sys.stderr, flush=True)
            raise SystemExit(EXIT_USAGE) from e

    def _prepare(self) -> None:
        """What cannot run ends at once, before a request is sent."""
        if self.leading is None:
            return
        try:
            self.leading.prepare()
        except CannotRun as e:
            print(f"load: {e}", file=sys.stderr, flush=True)
            raise SystemExit(EXIT_USAGE) from e


def load_suite(name: str) -> tuple[type[User], type[LoadTestShape]]:
    """Locust's classes for a suite of the spec."""
    suite = _Suite(name)

    class SpecUser(User):
        """Stands for one of the driver's users, until Locust stops it."""

        def on_start(self) -> None:
            if suite.sending is not None:
                suite.sending.join()

        def on_stop(self) -> None:
            if suite.sending is not None:
                suite.sending.leave()

        @task
        def hold(self) -> None:
            gevent.sleep(NAP_SECONDS)

    class SpecShape(LoadTestShape):
        """The suite's stages, until the last report came."""

        def tick(self) -> Any:
            return suite.leading.users() if suite.leading is not None else None

    return SpecUser, SpecShape
