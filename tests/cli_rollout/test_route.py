"""``ops route`` against real gateway workers: no controller, no database, no supervisor; the run folder alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from socket import socket
from typing import Any

import aiohttp
import msgspec
import pytest

from ops.adapters.gateway_admin import GatewayAdmin, WorkerAddress
from ops.adapters.spec_file import load_spec
from ops.spec.compiling import compile_serving
from ops.stack.state import Secrets, StackState, Worker, save_stack, write_private
from serving.contract import Arm, Endpoint, Route, RouteState, RoutingTable, WorkerState

pytestmark = pytest.mark.server

ROOT = Path(__file__).resolve().parents[2]
SECRETS = Secrets("an-admin-key-of-this-test", "a-synthetic-token-of-this-test", "")
READY_SECONDS_MAX = 60.0
LEASE_SECONDS = 300.0
DEAD = Worker("gateway-9", "http://127.0.0.1:1")
YES = ("--now", "--yes", "--reason", "garbage answers")
Ops = Callable[..., Any]


def _free_port() -> int:
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Worker, ...]]:
    """Two gateway workers on one public port."""
    home = tmp_path_factory.mktemp("gateway")
    (home / "serving.json").write_bytes(msgspec.json.encode(compile_serving(load_spec(ROOT / "gratefulgpt.yaml"))))
    known = {"admin_key": SECRETS.admin_key, "synthetic_token": SECRETS.synthetic_token}
    write_private(home / "secrets.json", msgspec.json.encode(known))
    public, started = _free_port(), []
    with ExitStack() as ending:
        for name in ("gateway-0", "gateway-1"):
            port = _free_port()
            (home / name).mkdir()
            line = [sys.executable, "-m", "serving.gateway", "--config", str(home / "serving.json"), "--worker", name]
            line += ["--port", str(public), "--admin-port", str(port), "--state-dir", str(home / name)]
            line += ["--secrets-file", str(home / "secrets.json")]
            log = ending.enter_context((home / f"{name}.log").open("wb"))
            process = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            ending.callback(process.wait, 60)
            ending.callback(process.terminate)
            started.append(Worker(name, f"http://127.0.0.1:{port}"))
        for worker in started:
            _wait_ready(worker.admin_url, home / f"{worker.name}.log")
        yield tuple(started)


def _wait_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            with urllib.request.urlopen(url + "/healthz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.fixture
def run_dir(tmp_path: Path, workers: tuple[Worker, ...]) -> Callable[..., Path]:
    """Writes the folder of a stack that has died but for its gateway; returns it."""

    def write(*others: Worker, spec: str = "gratefulgpt.yaml") -> Path:
        state = StackState(
            run_dir=str(tmp_path),
            environment="development",
            spec_path=str(ROOT / spec),
            engine="simulated",
            database_url="postgresql://nobody@127.0.0.1:1/nothing",
            database_is_ours=True,
            gateway_url="http://127.0.0.1:1",
            workers=(*workers, *others),
            controller_url="http://127.0.0.1:1",
            prometheus_url=None,
            supervisor_pid=0,
            supervisor_socket=str(tmp_path / "none"),
            started_unix_seconds=0.0,
        )
        save_stack(state)
        write_private(tmp_path / "secrets.json", msgspec.json.encode(SECRETS))
        return tmp_path

    return write


def _route(arm: Arm, release: str, weight: int) -> Route:
    return Route(arm, release, weight, (Endpoint(f"{release}-0", "http://127.0.0.1:1"),), "v1")


def _put(workers: tuple[Worker, ...], tier: str, epoch: int) -> None:
    routes = (_route(Arm.STABLE, "v1", 9500), _route(Arm.CANARY, "v2", 500))
    table = RoutingTable(tier, epoch, routes, lease_seconds=LEASE_SECONDS)

    async def put() -> None:
        async with aiohttp.ClientSession() as session:
            for worker in workers:
                address = WorkerAddress(worker.name, worker.admin_url)
                ack = await GatewayAdmin(session, address, SECRETS.admin_key).put(table)
                assert ack.refusal is None

    asyncio.run(put())


def _held(worker: Worker) -> WorkerState:
    async def ask() -> WorkerState:
        async with aiohttp.ClientSession() as session:
            return await GatewayAdmin(session, WorkerAddress("it", worker.admin_url), SECRETS.admin_key).state()

    return asyncio.run(ask())


def test_before_the_first_release_there_is_nothing_to_show(ops: Ops, run_dir: Callable[..., Path]) -> None:
    ran = ops("route", "show", "--tier", "edge", "--run-dir", run_dir())
    assert (ran.code, ran.out) == (0, "no worker holds a table: nothing has been released yet\n")


def test_each_worker_is_shown_and_agreement_is_exit_0(
    ops: Ops, run_dir: Callable[..., Path], workers: tuple[Worker, ...]
) -> None:
    _put(workers, "research", 1)
    ran = ops("route", "show", "--tier", "research", "--run-dir", run_dir())
    assert ran.code == 0, ran.err
    for name in ("gateway-0", "gateway-1"):
        rows = [line.split() for line in ran.out.splitlines() if line.strip().startswith(name)]
        assert [row[1:4] for row in rows] == [["stable", "v1", "95"], ["canary", "v2", "5"]]
    found = ops("route", "show", "--tier", "research", "--json", "--run-dir", run_dir()).json
    assert found["schema"] == "gratefulgpt.routes/1"
    routes = found["tiers"]["research"]["gateway-1"]["routes"]
    assert [(route["arm"], route["weight_in_force"]) for route in routes] == [("stable", 9500), ("canary", 500)]
    assert 0 < found["tiers"]["research"]["gateway-1"]["lease_left_seconds"] <= LEASE_SECONDS
    assert (found["disagreements"], found["unreachable"]) == ({}, {})


def test_workers_that_disagree_are_told_apart(
    ops: Ops, run_dir: Callable[..., Path], workers: tuple[Worker, ...]
) -> None:
    _put(workers, "edge", 1)
    _put(workers[:1], "edge", 2)
    ran = ops("route", "show", "--tier", "edge", "--run-dir", run_dir())
    assert ran.code == 1
    assert "the workers disagree on edge: epochs: gateway-0 2, gateway-1 1" in ran.out


def test_a_worker_that_does_not_answer_is_named(ops: Ops, run_dir: Callable[..., Path]) -> None:
    ran = ops("route", "show", "--json", "--run-dir", run_dir(DEAD))
    assert ran.code == 1
    assert "gateway-9 cannot be reached" in ran.err
    assert list(ran.json["unreachable"]) == ["gateway-9"]


def test_where_no_worker_answers_it_is_not_said_that_nothing_has_been_released(ops: Ops) -> None:
    ran = ops("route", "show", "--worker", DEAD.admin_url, GRATEFULGPT_ADMIN_KEY=SECRETS.admin_key)
    assert (ran.code, ran.out) == (1, "no worker tells where requests go\n")


def test_break_glass_needs_neither_controller_nor_database(
    ops: Ops, run_dir: Callable[..., Path], workers: tuple[Worker, ...]
) -> None:
    _put(workers, "production", 7)
    ran = ops("route", "stable", *YES, "--run-dir", run_dir())
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        f"{worker.name}: all new requests go to stable (epoch 7)" for worker in workers
    ]
    for worker in workers:
        held = _held(worker).tiers["production"]
        assert held.state is RouteState.FORCED_STABLE
        assert held.forced_by is not None
        assert held.forced_by.reason == "garbage answers"
    shown = ops("route", "show", "--tier", "production", "--run-dir", run_dir())
    assert shown.code == 0
    assert "garbage answers" in shown.out
    found = ops("route", "show", "--tier", "production", "--json", "--run-dir", run_dir()).json
    routes = found["tiers"]["production"]["gateway-0"]["routes"]
    assert [(route["arm"], route["weight_in_force"]) for route in routes] == [("stable", 10_000), ("canary", 0)]


def test_break_glass_says_which_worker_it_could_not_tell_and_when_that_one_returns_by_itself(
    ops: Ops, run_dir: Callable[..., Path], workers: tuple[Worker, ...]
) -> None:
    _put(workers, "production", 100)
    ran = ops("route", "stable", *YES, "--json", "--run-dir", run_dir(DEAD, spec="no-such-spec.yaml"))
    assert ran.code == 1
    assert "gateway-9 could not be told" in ran.err
    assert f"by itself within {LEASE_SECONDS:g} s" in ran.err
    assert [(row["worker"], row["ok"]) for row in ran.json["workers"]] == [
        ("gateway-0", True),
        ("gateway-1", True),
        ("gateway-9", False),
    ]
    assert all(_held(worker).tiers["production"].state is RouteState.FORCED_STABLE for worker in workers)


def test_break_glass_with_nobody_there_is_no_success(ops: Ops) -> None:
    ran = ops("route", "stable", *YES, "--worker", DEAD.admin_url, GRATEFULGPT_ADMIN_KEY=SECRETS.admin_key)
    assert ran.code == 1
    assert "NOT TOLD" in ran.out


def test_a_worker_elsewhere_is_reached_by_its_address_and_the_key_of_the_environment(
    ops: Ops, workers: tuple[Worker, ...]
) -> None:
    _put(workers, "community", 1)
    there = ("--worker", workers[0].admin_url)
    ran = ops("route", "stable", *YES, "--tier", "community", *there, GRATEFULGPT_ADMIN_KEY="another-key-than-theirs")
    assert ran.code == 1
    assert "answered 401" in ran.out
    assert _held(workers[0]).tiers["community"].state is RouteState.ACTIVE
    ran = ops("route", "stable", *YES, "--tier", "community", *there, GRATEFULGPT_ADMIN_KEY=SECRETS.admin_key)
    assert ran.code == 0
    assert _held(workers[0]).tiers["community"].state is RouteState.FORCED_STABLE
    assert _held(workers[1]).tiers["community"].state is RouteState.ACTIVE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--now", "--yes"), "--reason"),
        (("--yes", "--reason", "x"), "say --now"),
        (("--now", "--yes", "--reason", " "), "say why"),
        (("--now", "--reason", "x"), "needs --yes where nobody can be asked"),
        (("--now", "--yes", "--reason", "x", "--tier", "proudction"), "no worker holds a table of proudction"),
    ],
)
def test_break_glass_asked_wrongly_changes_nothing(
    ops: Ops, run_dir: Callable[..., Path], workers: tuple[Worker, ...], arguments: tuple[str, ...], words: str
) -> None:
    known = _held(workers[0]).tiers.get("production")
    _put(workers, "production", known.table.epoch + 1 if known else 1)
    ran = ops("route", "stable", *arguments, "--run-dir", run_dir())
    assert ran.code == 2
    assert words in ran.err
    assert all(_held(worker).tiers["production"].state is RouteState.ACTIVE for worker in workers)


def test_where_no_stack_ever_ran_the_way_out_is_said(ops: Ops, tmp_path: Path) -> None:
    for command in (("route", "show"), ("route", "stable", *YES)):
        ran = ops(*command, "--run-dir", tmp_path)
        assert ran.code == 4
        assert "no stack runs in" in ran.err
        assert "--worker URL" in ran.err
