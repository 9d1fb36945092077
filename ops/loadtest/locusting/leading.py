"""A run as the master, or the only process, sees it: prepared, led through its stages, gathered and ended."""

from __future__ import annotations

import logging
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import gevent
import msgspec
from locust.env import Environment
from locust.runners import MasterRunner

from ops.loadtest.frames import Report
from ops.loadtest.locusting.options import Fixed, asked
from ops.loadtest.locusting.session import MESSAGE, Gathering, Given, Sending, workers
from ops.loadtest.preparing import CannotRun, Prepared, prepare
from ops.loadtest.run import Collecting, Run, Server
from ops.loadtest.scraping import scraped
from ops.loadtest.server_side import Scrape, server
from ops.verdict import EXIT_USAGE

LOCAL = "local"
"""Name of the only process."""
SCRAPE_SECONDS = 10.0
REPORT_SECONDS_MAX = 20.0
"""For the last reports of workers, beyond the plan's own bound: Locust's workers report every three seconds."""
START_SECONDS = 15.0
"""For drivers to begin, after which their silence is an end."""
POLL_SECONDS = 0.2
REPLICAS_SECONDS_MAX = 600.0
log = logging.getLogger("load")

Finish = Callable[[Run, Prepared, Path], None]
"""Judges and reports."""


class Leading:
    """One run after another, as Locust starts and stops them. ``shape`` asks ``users`` every second."""

    def __init__(self, environment: Environment, suite: str, of: Fixed, finish: Finish) -> None:
        self._environment, self._suite, self._of, self._finish = environment, suite, of, finish
        self.ready: Prepared | None = None
        self._gathering: Gathering | None = None
        self._collecting: Collecting | None = None
        self._began = 0.0
        """By the clock of ``time.monotonic``; 0 while no run is on."""
        self._expected: dict[str, float | None] = {}
        """Workers that were given the plan, and when each went missing (seconds into the run)."""
        self._late: list[str] = []
        self._broken: list[str] = []
        self._scrapes: list[Scrape] = []
        self._stage = -1
        self.sending = Sending(self._own)
        events = environment.events
        events.test_start.add_listener(self._start)
        events.test_stopping.add_listener(lambda **_: self.sending.end())
        events.test_stop.add_listener(self._stop)
        events.worker_report.add_listener(self._received)
        events.worker_connect.add_listener(self._connected)

    # --- before -------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Raises CannotRun."""
        drivers = max(1, len(workers(self._environment)) or self._workers_awaited())
        ready = prepare(asked(self._suite, self._environment, self._of), drivers)
        if ready.spec.load.suites[self._suite].find == "efficiency" and not self._of.replicas_command:
            raise CannotRun(
                f"{self._suite} compares stages by their replicas, and nobody sets them: --replicas-command COMMAND "
                "(`true` where they follow the load by themselves)"
            )
        self.ready = ready

    def _workers_awaited(self) -> int:
        options = self._environment.parsed_options
        return int(options.expect_workers) if options is not None and options.master else 1

    # --- while it runs ------------------------------------------------------------------------------------------

    def users(self) -> tuple[int, float] | None:
        """Locust's users now, and how many may come or go in a second; None at the end."""
        ready = self._prepared()
        if ready is None:
            return None
        elapsed = self.elapsed_seconds
        if self._began:
            self._watch(ready, elapsed)
            if self._over(ready, elapsed):
                return None
        return ready.shape.users(elapsed), float(ready.shape.users_max)

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self._began if self._began else 0.0

    @property
    def collecting(self) -> Collecting | None:
        return self._collecting

    def _prepared(self) -> Prepared | None:
        if self.ready is None:
            try:
                self.prepare()
            except CannotRun as e:
                log.error("%s", e)
                self._environment.process_exit_code = EXIT_USAGE
        return self.ready

    def _start(self, **_: object) -> None:
        ready = self.ready
        if ready is None:
            return
        plan = ready.plan
        self._collecting = Collecting(self._suite, plan, time.time())
        self._gathering = Gathering(self._environment, plan, self._collecting.take)
        self._scrapes = list(scraped(self._of.metrics_urls))
        self._stage, self._late, self._broken = -1, [], []
        self._expected = dict.fromkeys(workers(self._environment) or (LOCAL,))
        given = Given(plan, ready.shape.users_max)
        runner = self._environment.runner
        if isinstance(runner, MasterRunner):
            runner.send_message(MESSAGE, {"given": msgspec.msgpack.encode(given)})
        else:
            self.sending.begin(given, 0)
        self._began = time.monotonic()
        gevent.spawn(self._scrape, self._began)

    def _watch(self, ready: Prepared, elapsed: float) -> None:
        """Notes workers that are gone, and asks for the replicas of the stage that begins."""
        known = workers(self._environment) or (LOCAL,)
        for name, missing in self._expected.items():
            if missing is None and name not in known and not self._has_ended(name):
                self._expected[name] = elapsed
                log.error("worker %s is gone, %.0f s into the run", name, elapsed)
        stage = ready.stage_at(elapsed)
        if stage != self._stage:
            self._stage = stage
            self._ask_replicas(ready)

    def _ask_replicas(self, ready: Prepared) -> None:
        stages = ready.stages
        wanted = stages[self._stage].replicas if stages else None
        if wanted is not None and self._of.replicas_command:
            gevent.spawn(self._set_replicas, wanted)

    def _set_replicas(self, wanted: int) -> None:
        if why := _run(self._of.replicas_command, wanted):
            log.error("the command for %d replicas failed: %s", wanted, why)
            self._broken.append(f"the command for {wanted} replicas failed: {why}")

    def _has_ended(self, name: str) -> bool:
        return self._gathering is not None and name in self._gathering.final

    def _over(self, ready: Prepared, elapsed: float) -> bool:
        """Everybody's last report came, or whoever has not sent it is gone or much too late."""
        waiting = [name for name, gone in self._expected.items() if gone is None and not self._has_ended(name)]
        if not waiting:
            return True
        plan = ready.plan
        return elapsed > plan.seconds + plan.drain_seconds_max + REPORT_SECONDS_MAX + START_SECONDS

    def _scrape(self, began: float) -> None:
        while self._of.metrics_urls and self._began == began:
            gevent.sleep(SCRAPE_SECONDS)
            if self._began == began:  # of those in between only the health counts
                self._scrapes += [replace(one, histograms={}) for one in scraped(self._of.metrics_urls)]

    def _own(self, report: Report) -> None:
        if self._gathering is not None:
            self._gathering.reported(LOCAL, report)

    def _received(self, client_id: str, data: dict[str, bytes], **_: object) -> None:
        if self._gathering is not None:
            self._gathering.received(client_id, data)

    def _connected(self, client_id: str, **_: object) -> None:
        if self._began and client_id not in self._expected:
            self._late.append(f"{client_id} (came {self.elapsed_seconds:.0f} s after the start)")

    # --- the end ------------------------------------------------------------------------------------------------

    def _stop(self, **_: object) -> None:
        ready, collecting = self.ready, self._collecting
        if not self._began or ready is None or collecting is None:
            return
        elapsed = self.elapsed_seconds
        early = elapsed < ready.plan.seconds
        how = "no driver was left" if all(map(self._has_ended, self._expected)) else "stopped by hand"
        self.sending.finish()
        self._await_last(ready)
        self._began = 0.0
        self._scrapes += scraped(self._of.metrics_urls)
        gone = [name for name in self._expected if not self._has_ended(name)]
        words = f"{how} {elapsed:.0f} s into {ready.plan.seconds:.0f} s"
        run = collecting.run(
            time.time(),
            interrupted=words if early and not gone else "",
            server=server(self._scrapes) if self._of.metrics_urls else Server(),
            lost=(*(self._gone_words(name) for name in gone), *self._late),
            broken=tuple(self._broken),
            stages=ready.stages,
            scale=ready.asked.scale.load,
        )
        self.ready = self._collecting = self._gathering = None
        self._finish(run, ready, self._folder())

    def _gone_words(self, name: str) -> str:
        at = self._expected[name]
        return name if at is None else f"{name} (gone {at:.0f} s into the run)"

    def _await_last(self, ready: Prepared) -> None:
        """Tells workers to stop, if they have not, and waits for their last reports."""
        runner = self._environment.runner
        if not isinstance(runner, MasterRunner):
            return
        waiting = {name for name in self._expected if not self._has_ended(name)} & set(workers(self._environment))
        for name in waiting:
            runner.send_message("stop", None, name)
        deadline = time.monotonic() + ready.plan.drain_seconds_max + REPORT_SECONDS_MAX
        while time.monotonic() < deadline and any(not self._has_ended(name) for name in waiting):
            gevent.sleep(POLL_SECONDS)

    def _folder(self) -> Path:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return self._of.folder or Path("build") / "load" / f"{self._suite}-{moment}"


def _run(command: str, replicas: int) -> str:
    """Why it failed; empty where it has not."""
    try:
        done = subprocess.run([*shlex.split(command), str(replicas)], timeout=REPLICAS_SECONDS_MAX, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as e:  # ValueError: quotes that do not end
        return str(e)
    return f"exit code {done.returncode}" if done.returncode else ""
