"""A trial with real requests, a fake service, fake engines and a fake monitoring: whatever happens, the breach ends."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from ops.adapters.simulated_faults import FaultsError, NotSimulated, faults_of, set_faults
from ops.adapters.supervisord import Process, State
from ops.alerting.links import runbook_url
from ops.cli.load_certify import _end, _ran
from ops.cli.output import CommandError
from ops.loadtest.causes import cause
from ops.loadtest.certifying.breaches import BY_NAME
from ops.loadtest.certifying.injecting import CannotInject, Engines, engines
from ops.loadtest.certifying.judging import judge
from ops.loadtest.certifying.observed import Bounds, ByClass, Held, Look, Observed
from ops.loadtest.certifying.running import Interrupted, Pace, Scene, observe
from ops.verdict import Evidence, Outcome, Verdict
from tests.loadtest.fake_http import until
from tests.loadtest.judged_runs import SPEC, FakeService, plan, serving

pytestmark = pytest.mark.server
BREACH = BY_NAME["errors"]
BOUNDS = Bounds(fire_seconds=8, resolve_seconds=8, blind_seconds=3, share=0.05)
RATE = 100.0
PACE = Pace(before_seconds=1.5, calm_seconds=0.0, pages_only=False)
HEALTHY = {"error_rate": 0.0, "slowdown": 1.0}
ALERT = Held(BREACH.alert, "critical", runbook_url(BREACH.alert, SPEC))


class Engine:
    """Its faults, and every change of them."""

    def __init__(self) -> None:
        self.faults: dict[str, Any] = dict(HEALTHY)
        self.puts: list[dict[str, Any]] = []
        self.status = 200
        self.url = ""

    @property
    def broken(self) -> bool:
        return self.faults != HEALTHY


@contextmanager
def engine() -> Iterator[Engine]:
    found = Engine()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(found.faults)

        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if found.status == 200:
                found.faults = body
                found.puts.append(body)
            self._say(body)

        def _say(self, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(found.status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Monitoring:
    """As ``Watch``: the alert fires a second after the engine broke, and ends a second after it was mended."""

    def __init__(self, of: Engine, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._engine, self._meanwhile = of, meanwhile
        self._changed = 0.0
        self._was_broken = False
        self.loud: tuple[Evidence, ...] = ()

    async def look(self, at: float, requests: ByClass) -> Look:
        if self._engine.broken != self._was_broken:
            self._was_broken, self._changed = self._engine.broken, at
        if self._was_broken:
            self._meanwhile()
        fires = self._was_broken if at - self._changed >= 1 else not self._was_broken and bool(self._changed)
        return Look(at, requests, frozenset({ALERT.name} if fires else ()), (ALERT,) if fires else ())

    def warnings(self) -> tuple[str, ...]:
        return ("CpuBusy",)

    def unquiet(self, pages_only: bool) -> tuple[Evidence, ...]:
        return self.loud


@contextmanager
def world(meanwhile: Callable[[], None] = lambda: None) -> Iterator[tuple[Scene, Engine, Monitoring]]:
    with engine() as broken:
        service = FakeService(status=lambda number: 500 if broken.broken and number % 2 else 200)
        with serving(service):
            watch = Monitoring(broken, meanwhile)
            scene = Scene(
                SPEC, plan(service, RATE, 1.0), RATE, engines([broken.url]), watch,  # type: ignore[arg-type]
                Path(__file__).parents[2] / "runbooks", Interrupted(), lambda _: None,
            )  # fmt: skip
            yield scene, broken, watch


def tried(scene: Scene) -> Observed:
    return asyncio.run(observe(scene, BREACH, BOUNDS, PACE))


def test_a_trial_that_goes_as_it_should_passes_and_leaves_the_engine_as_it_was():
    with world() as (scene, broken, _):
        seen = tried(scene)
    verdict = judge(seen)
    assert verdict.outcome is Outcome.PASS, verdict
    assert broken.puts == [{**HEALTHY, **BREACH.faults}, HEALTHY]
    assert not [one for one in verdict.evidence if "let pass" in one.text]
    assert seen.page is not None
    assert seen.page.endswith("runbooks/HighErrorRate.md")


def test_warnings_that_were_let_pass_are_told_of_and_no_others():
    with world() as (scene, _, _):
        verdict = judge(asyncio.run(observe(scene, BREACH, BOUNDS, replace(PACE, pages_only=True))))
    assert verdict.outcome is Outcome.PASS, verdict
    assert "warnings that fired before the breach were let pass: CpuBusy" in verdict.evidence[1].text


def test_a_page_that_is_not_there_fails(tmp_path):
    with world() as (scene, _, _):
        verdict = judge(tried(replace(scene, runbooks=tmp_path)))
    assert verdict.outcome is Outcome.FAIL
    assert "leads nowhere" in verdict.evidence[0].text


def test_what_is_not_quiet_before_is_never_broken():
    with world() as (scene, broken, watch):
        watch.loud = (cause("not_quiet", "NoEngine fires"),)
        verdict = judge(tried(scene))
    assert verdict.outcome is Outcome.INVALID
    assert broken.puts == []


def test_somebody_who_wants_the_end_gets_it_and_the_breach_is_taken_back():
    scene: Scene

    def interrupt() -> None:
        scene.interrupted.set("SIGINT")

    with world(interrupt) as (scene, broken, _):
        verdict = judge(tried(scene))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert broken.puts[-1] == HEALTHY


def test_an_exception_takes_the_breach_back():
    def fail() -> None:
        raise RuntimeError("a defect")

    with world(fail) as (scene, broken, _), pytest.raises(RuntimeError, match="a defect"):
        tried(scene)
    assert len(broken.puts) == 2
    assert broken.puts[-1] == HEALTHY


def test_a_second_signal_ends_it_at_once_with_3_and_the_breach_is_taken_back_and_told():
    told: list[str] = []

    async def twice() -> Verdict:
        task = asyncio.current_task()
        signals = asyncio.create_task(until(lambda: broken.broken))
        signals.add_done_callback(lambda _: [_end(scene.interrupted, "SIGINT", task) for _ in range(2)])
        await observe(replace(scene, tell=told.append), BREACH, BOUNDS, PACE)
        raise AssertionError("it was not ended")

    with world() as (scene, broken, _), pytest.raises(CommandError) as caught:
        _ran(twice())
    assert caught.value.exit_code == 3
    assert broken.puts[-1] == HEALTHY
    assert told[-1].endswith("taken back")


def test_a_cancellation_takes_the_breach_back():
    async def cancelled() -> None:
        task = asyncio.create_task(observe(scene, BREACH, BOUNDS, PACE))
        await until(lambda: broken.broken)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with world() as (scene, broken, _):
        asyncio.run(cancelled())
    assert broken.puts[-1] == HEALTHY


def test_an_engine_that_does_not_take_the_breach_back_is_told(monkeypatch):
    monkeypatch.setattr("ops.loadtest.certifying.injecting.PAUSE_SECONDS", 0.0)

    def refuse() -> None:
        broken.status = 503

    with world(refuse) as (scene, broken, _):
        seen = tried(scene)
    verdict = judge(seen)
    assert verdict.outcome is Outcome.INVALID
    assert verdict.evidence[0].values["cause"] == "stuck"
    assert "ops stack restart" in verdict.evidence[0].text


def test_where_one_engine_refuses_those_that_broke_are_mended():
    with engine() as one, engine() as other:
        both = engines([one.url, other.url])
        other.status = 400
        with pytest.raises(CannotInject, match="answers 400"):
            Engines(both.former).break_(BREACH)
    assert one.puts == [{**HEALTHY, **BREACH.faults}, HEALTHY]


def test_faults_that_an_engine_had_before_come_back():
    with engine() as one:
        one.faults = {"error_rate": 0.01, "slowdown": 2.0}
        found = engines([one.url])
        found.break_(BY_NAME["slow"])
        assert one.faults == {"error_rate": 0.01, **BY_NAME["slow"].faults}
        assert found.mend() == ""
        assert one.faults == {"error_rate": 0.01, "slowdown": 2.0}


class Supervisor:
    """Knows one program, by the pid of its guard."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def processes(self) -> dict[str, Process]:
        return {"replica-one": Process("replica-one", State.RUNNING, self._pid, 0.0, "")}


def test_a_program_that_hangs_is_stopped_with_all_but_its_guard_and_goes_on_afterwards():
    guard = subprocess.Popen(["bash", "-c", "sleep 60 & sleep 60 & wait"])
    try:
        parent = psutil.Process(guard.pid)
        asyncio.run(until(lambda: len(parent.children()) == 2))
        with engine() as one:
            found = engines([one.url], ["replica-one"], Supervisor(guard.pid))  # type: ignore[arg-type]
            found.break_(BY_NAME["hang"])
            asyncio.run(until(lambda: {child.status() for child in parent.children()} == {psutil.STATUS_STOPPED}))
            assert parent.status() != psutil.STATUS_STOPPED
            assert one.puts == []
            assert found.mend() == ""
            asyncio.run(until(lambda: psutil.STATUS_STOPPED not in {child.status() for child in parent.children()}))
            with pytest.raises(CannotInject, match="replica-two cannot be stopped"):
                engines([one.url], ["replica-two"], Supervisor(guard.pid)).break_(BY_NAME["hang"])  # type: ignore[arg-type]
    finally:
        for child in psutil.Process(guard.pid).children():
            child.kill()
        guard.wait()


def test_what_is_no_simulated_engine_is_told_from_one_that_does_not_answer():
    with engine() as one:
        one.status = 404
        with pytest.raises(NotSimulated):
            engines([one.url])
        one.status, one.faults = 200, {"something": "else"}
        with pytest.raises(NotSimulated):
            faults_of(one.url)
    with pytest.raises(FaultsError, match="does not answer"):
        set_faults(one.url, {})


def test_a_generator_that_ends_by_itself_makes_the_trial_invalid():
    with world() as (scene, broken, _):
        verdict = judge(tried(replace(scene, plan=msgspec.structs.replace(scene.plan, requests=()))))
    assert verdict.outcome is Outcome.INVALID
    assert "generator_error" in {one.values.get("cause") for one in verdict.evidence}
    assert broken.puts == []
