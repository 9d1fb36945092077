"""The operator's commands against a whole stack, each as a user gives it. Each test has a tier of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.server

ROOT = Path(__file__).resolve().parents[2]
UP_SECONDS_MAX = 180.0
DOWN_SECONDS_MAX = 90.0
DEADLINE_SECONDS = 90.0
Ops = Callable[..., Any]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a stack that runs."""
    folder = tmp_path_factory.mktemp("stack")
    line = [sys.executable, "-m", "ops.cli.main", "stack", "up", "--run-dir", str(folder / "run"), "--port", "0"]
    line += ["--prometheus", "off", "--workers", "2"]
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(line, cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + UP_SECONDS_MAX
        while "Ctrl-C ends it" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield folder / "run"
    finally:
        process.terminate()
        process.wait(DOWN_SECONDS_MAX)


@pytest.fixture
def stack(ops: Ops, run_dir: Path) -> Ops:
    """``ops`` with the stack's folder."""

    def run(*arguments: object) -> Any:
        return ops(*arguments, "--run-dir", run_dir)

    return run


@pytest.fixture
def add(stack: Ops, tmp_path: Path) -> Callable[[str, str], Path]:
    """Registers a release; returns its folder."""

    def register(name: str, tier: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "simulated.json").write_text(json.dumps({"seed": len(name)}))
        ran = stack("release", "add", name, "--model", folder, "--tier", tier)
        assert ran.code == 0, ran.err
        return folder

    return register


@pytest.fixture
def watching(run_dir: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``ops canary status --watch`` in the background, once it has said its first line."""
    started: list[subprocess.Popen[str]] = []

    def start(tier: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "ops.cli.main", "canary", "status", "--watch", "--tier", tier]
        process = subprocess.Popen(
            [*line, "--run-dir", str(run_dir)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert "started" in process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _until(stack: Ops, tier: str, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        found: dict[str, Any] = stack("canary", "status", "--tier", tier, "--json").json["rollout"]
        if found["state"] == state:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_a_release_goes_out_and_the_next_is_held_and_rolled_back(stack: Ops, add: Callable[[str, str], Path]) -> None:
    add("v1", "production")
    assert stack("canary", "status").code == 2, "there was none yet"
    first = stack("canary", "start", "v1", "--watch")
    assert first.code == 0, first.out + first.err
    assert "promoting → promoted" in first.out
    assert all(line[:2] == "20" for line in first.out.splitlines()), "one line a change"
    add("v2", "production")
    started = stack("canary", "start", "v2", "--json")
    assert (started.code, started.json["schema"]) == (0, "gratefulgpt.rollout/1")
    rollout = started.json["rollout"]["id"]
    again = stack("canary", "start", "v2")
    assert (again.code, again.out) == (2, "")
    assert f"rollout {rollout} of v2 is" in again.err
    _until(stack, "production", "analysing")
    assert stack("canary", "pause", "--reason", "a fair in town").code == 0
    held = stack("canary", "status")
    assert held.code == 0
    assert "PAUSED" in held.out
    assert "a fair in town" in held.out
    for command in ("promote", "rollback"):
        refused = stack("canary", command)
        assert refused.code == 2
        assert "needs --yes where nobody can be asked" in refused.err
    assert _until(stack, "production", "paused")["weights"] == {"stable": 9000, "baseline": 500, "canary": 500}
    assert stack("canary", "resume").code == 0
    back = stack("canary", "rollback", "--yes", "--reason", "enough")
    assert back.code == 0
    assert "leave it for v1" in back.err
    ended = stack("canary", "status", rollout, "--watch", "--json")
    assert ended.code == 1
    assert ended.json["rollout"]["outcome"] == "fail"
    assert stack("canary", "status", rollout).code == 1
    for command in ("pause", "promote", "resume"):
        assert stack("canary", command).code == 2, "no rollout is active"
    assert stack("canary", "pause", rollout).code == 2, "it has ended"
    history = stack("canary", "history", "--tier", "production", "--json").json["rollouts"]
    assert [(one["release"], one["state"]) for one in history] == [("v2", "rolled_back"), ("v1", "promoted")]
    lines = stack("canary", "journal", rollout, "--json").json["lines"]
    reasons = [line["reason"] for line in lines if line["actor"] != "controller"]
    assert reasons[1:2] + reasons[-1:] == ["a fair in town", "enough"]
    assert "paused → analysing" in stack("canary", "journal", rollout).out
    log = stack("canary", "journal", "--all", "--tier", "production", "--since", "1h", "--jsonl")
    decisions = [json.loads(line) for line in log.out.splitlines()]
    recorded = {decision["kind"] for decision in decisions if decision["rollout"] is None}
    assert recorded == {"transcript_recorded"}
    assert {decision["rollout"] for decision in decisions} - {None} == {one["id"] for one in history}
    assert stack("canary", "journal", "--all", "--until", "2020-01-01", "--jsonl").out == ""
    assert stack("canary", "journal", "--all", "--since", "yesterday").code == 2
    assert stack("canary", "journal", rollout, "--all").code == 2
    assert stack("canary", "show", rollout, "--json").json["rollout"]["state"] == "rolled_back"


def test_a_promotion_by_hand_and_the_two_ways_back_from_it(stack: Ops, add: Callable[[str, str], Path]) -> None:
    for name in ("r1", "r2"):
        add(name, "research")
    tier = ("--tier", "research")
    assert stack("canary", "start", "r1", "--watch").code == 0
    assert stack("canary", "start", "r2").code == 0
    promoted = stack("canary", "promote", *tier, "--yes", "--reason", "measured elsewhere")
    assert promoted.code == 0, promoted.err
    assert "takes r2 to all requests of research" in promoted.err
    assert stack("canary", "status", *tier, "--watch").code == 0
    back = stack("canary", "rollback", *tier, "--yes", "--json")
    assert back.json["rollout"]["release"] == "r1"
    assert "back to r1, whose replicas still run" in back.err
    assert stack("canary", "status", *tier, "--watch").code == 0
    assert stack("canary", "rollback", *tier, "--to", "r2", "--yes").code == 0
    assert stack("canary", "status", *tier, "--watch").code == 0
    roles = {one["name"]: one["role"] for one in stack("release", "list", *tier, "--json").json["releases"]}
    assert roles == {"r2": "stable", "r1": "retained"}
    assert stack("canary", "rollback", "x", "--to", "r1").code == 2
    shown = stack("route", "show", *tier, "--json")
    assert shown.code == 0
    routes = [worker["routes"] for worker in shown.json["tiers"]["research"].values()]
    assert [[(route["release"], route["weight"]) for route in one] for one in routes] == [[("r2", 10_000)]] * 2


def test_a_tampered_release_is_found_and_refused(stack: Ops, add: Callable[[str, str], Path]) -> None:
    add("e1", "edge")
    assert stack("canary", "start", "e1", "--watch").code == 0
    folder = add("e2", "edge")
    assert stack("release", "verify", "e2").code == 0
    files = stack("release", "show", "e2", "--json").json["release"]["files"]
    assert [(file["path"], len(file["sha256"])) for file in files] == [("simulated.json", 64)]
    (folder / "simulated.json").write_text("{}")
    checked = stack("release", "verify", "e2")
    assert checked.code == 1
    assert "simulated.json has sha256" in checked.out
    assert stack("release", "verify", "e2", "--json").json["ok"] is False
    refused = stack("canary", "start", "e2", "--watch")
    assert refused.code == 1
    assert "refused" in refused.out
    assert "simulated.json" in refused.out
    for arguments in (("add", "e2", "--model", folder, "--tier", "edge"), ("show", "e9"), ("verify", "e9")):
        assert stack("release", *arguments).code == 2
    assert stack("release", "add", "bad name", "--model", folder).code == 2


def test_a_freeze_bars_the_start_and_a_watch_ends_where_a_person_is_needed(
    stack: Ops, add: Callable[[str, str], Path], watching: Callable[..., subprocess.Popen[str]]
) -> None:
    add("c1", "community")
    assert stack("freeze", "on", "--reason", "Black Friday", "--tier", "community").code == 0
    frozen = stack("canary", "start", "c1")
    assert frozen.code == 2
    assert "Black Friday" in frozen.err
    freezes = stack("freeze", "status", "--json").json["freezes"]
    assert [(one["tier"], one["reason"]) for one in freezes] == [("community", "Black Friday")]
    assert stack("freeze", "off").out == "nothing is frozen\n"
    assert stack("freeze", "on").code == 2, "a reason is asked for"
    assert stack("canary", "start", "c1", "--watch").code == 0
    add("c2", "community")
    assert stack("canary", "start", "c2").code == 0
    _until(stack, "community", "analysing")

    paused = watching("community")
    assert stack("canary", "pause", "--tier", "community").code == 0
    assert paused.wait(DEADLINE_SECONDS) == 3, "inconclusive"
    assert stack("canary", "resume", "--tier", "community").code == 0

    suspended = watching("community")
    by_hand = ("--now", "--yes", "--tier", "community", "--reason", "garbage answers")
    assert stack("route", "stable", *by_hand).code == 0
    assert suspended.wait(DEADLINE_SECONDS) == 4, "no verdict: it was not seen to its end"

    interrupted = watching("community")
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(DEADLINE_SECONDS) == 130
    assert "the rollout goes on without this watch" in interrupted.communicate()[1]
    assert stack("canary", "rollback", "--tier", "community", "--yes").code == 0


def test_a_controller_elsewhere_is_named_with_its_key(ops: Ops, run_dir: Path) -> None:
    url = json.loads((run_dir / "stack.json").read_text())["controller_url"]
    key = json.loads((run_dir / "secrets.json").read_text())["admin_key"]
    there = ("canary", "history", "--json", "--controller")
    assert ops(*there, url, GRATEFULGPT_ADMIN_KEY=key).code == 0
    for address, environment, code, words in (
        (url, {"GRATEFULGPT_ADMIN_KEY": ""}, 2, "the admin key is missing"),
        (url, {"GRATEFULGPT_ADMIN_KEY": "wrong"}, 2, "the admin key is missing or wrong"),
        ("http://127.0.0.1:1", {"GRATEFULGPT_ADMIN_KEY": key}, 4, "no controller answers"),
        ("nonsense", {"GRATEFULGPT_ADMIN_KEY": key}, 2, "is no address of a controller"),
    ):
        ran = ops(*there, address, **environment)
        assert (ran.code, ran.out) == (code, ""), ran.err
        assert len(ran.err.splitlines()) == 1
        assert words in ran.err
        assert key not in ran.err
    judge = ("canary", "judge", "--once", "--controller")
    assert ops(*judge, "http://127.0.0.1:1", GRATEFULGPT_ADMIN_KEY=key).code == 4
    assert ops(*judge, url, GRATEFULGPT_ADMIN_KEY="wrong").code == 2
    elsewhere = ops("release", "add", "x", "--model", "/m", "--controller", url, GRATEFULGPT_ADMIN_KEY=key)
    assert elsewhere.code == 2
    assert "--engine" in elsewhere.err


def test_a_tier_that_is_not_there_is_named_with_those_that_are(stack: Ops) -> None:
    for command in (("status",), ("pause",), ("rollback", "--yes"), ("journal",)):
        ran = stack("canary", *command, "--tier", "proudction")
        assert ran.code == 2
        assert "no tier proudction; the spec has" in ran.err
