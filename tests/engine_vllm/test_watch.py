"""The watcher of one server process, against real processes: a small HTTP server stands where vLLM would."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.engine.vllm_command import BOOTSTRAP
from serving.engine.vllm_watch import EXIT_UNHEALTHY, Health, WatchLimits, complaint

pytestmark = pytest.mark.server

LIMITS = WatchLimits(ready_seconds_max=10, unhealthy_seconds_max=60)
END_SECONDS_MAX = 60

LAUNCHER = """
import asyncio, json, os, sys
from serving.engine.vllm_watch import WatchLimits, watch
order = json.loads(sys.argv[1])
environment = {**os.environ, **order["environment"], "GRATEFULGPT_PARENT_PID": str(os.getpid())}
sys.exit(asyncio.run(watch(order["command"], environment, order["health"], WatchLimits(**order["limits"]))))
"""

# A package named vllm whose API server answers /health, has a child as the engine core, and obeys its model's name.
CORE = """
import signal, time

def core():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
"""
API_SERVER = """
import argparse, http.server, multiprocessing, os, signal, sys, time
from vllm.core import core

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *arguments):
        pass

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--port", type=int)
    options, _ = parser.parse_known_args()
    if options.model == "exits":
        sys.exit(7)
    multiprocessing.get_context("spawn").Process(target=core, daemon=options.model != "leaves-child").start()
    if options.model == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if options.model == "mute":
        time.sleep(600)
    http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()
"""


@pytest.mark.parametrize(
    ("healthy_at", "now", "complains"),
    [(None, 9.0, False), (None, 11.0, True), (5.0, 64.0, False), (5.0, 66.0, True)],
)
def test_a_server_must_become_ready_and_then_keep_answering(
    healthy_at: float | None, now: float, complains: bool
) -> None:
    assert (complaint(Health(0.0, healthy_at), LIMITS, now) is not None) is complains


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], int]]]:
    """Starts a watcher over a stand-in of the given model name; returns it and the server's port."""
    module = tmp_path / "site" / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    for folder in (module.parent, module.parent.parent, module.parent.parent.parent):
        (folder / "__init__.py").touch()
    module.write_text(API_SERVER)
    (tmp_path / "site" / "vllm" / "core.py").write_text(CORE)
    started: list[subprocess.Popen[bytes]] = []

    def begin(model: str, **limits: float) -> tuple[subprocess.Popen[bytes], int]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        order: dict[str, Any] = {
            "command": [sys.executable, str(BOOTSTRAP), "--model", model, "--port", str(port)],
            "environment": {"PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"},
            "health": f"http://127.0.0.1:{port}/health",
            "limits": {"probe_interval_seconds": 0.2, "probe_timeout_seconds": 1.0, **limits},
        }
        path = tmp_path / "log"
        with path.open("wb") as log:
            line = [sys.executable, "-c", LAUNCHER, json.dumps(order), str(path)]
            process = subprocess.Popen(line, stdout=log, stderr=log)
        started.append(process)
        return process, port

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def log_of(process: subprocess.Popen[bytes]) -> bytes:
    return Path(str(process.args[-1])).read_bytes()  # type: ignore[index]


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, log_of(process)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_exit_code_of_the_server_passes_through(start: Any) -> None:
    process, _ = start("exits")
    assert process.wait(END_SECONDS_MAX) == 7


def test_a_server_that_dies_of_a_signal_gives_its_number(start: Any, family_of: Any, eventually: Any) -> None:
    process, port = start("serves")
    eventually("the server answers", lambda: answers(process, port))
    family = family_of(process.pid)
    os.kill(family.members[1].pid, signal.SIGKILL)
    assert process.wait(END_SECONDS_MAX) == 128 + signal.SIGKILL
    eventually("nothing is left", lambda: not family.living())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_reaches_the_server_and_leaves_nothing(
    start: Any, family_of: Any, eventually: Any, number: signal.Signals
) -> None:
    process, port = start("leaves-child")
    eventually("the server answers", lambda: answers(process, port))
    family = family_of(process.pid)
    assert len(family.members) >= 3
    process.send_signal(number)
    assert process.wait(END_SECONDS_MAX) == 0
    eventually("nothing is left", lambda: not family.living())


def test_a_server_that_ignores_the_stop_is_killed_in_the_end(start: Any, family_of: Any, eventually: Any) -> None:
    process, port = start("stubborn", stop_seconds_max=0.5)
    eventually("the server answers", lambda: answers(process, port))
    family = family_of(process.pid)
    process.terminate()
    assert process.wait(END_SECONDS_MAX) == 128 + signal.SIGKILL
    eventually("nothing is left", lambda: not family.living())


def test_a_server_that_hangs_is_killed_so_that_a_fresh_one_can_start(
    start: Any, family_of: Any, eventually: Any
) -> None:
    process, port = start("serves", unhealthy_seconds_max=2.0)
    eventually("the server answers", lambda: answers(process, port))
    eventually("the watcher has seen it", lambda: b"engine_ready" in log_of(process))
    family = family_of(process.pid)
    os.kill(family.members[1].pid, signal.SIGSTOP)
    assert process.wait(END_SECONDS_MAX) == EXIT_UNHEALTHY
    eventually("nothing is left", lambda: not family.living())


def test_a_server_that_never_gets_ready_is_given_up(start: Any) -> None:
    process, _ = start("mute", ready_seconds_max=1.0)
    assert process.wait(END_SECONDS_MAX) == EXIT_UNHEALTHY


@pytest.mark.parametrize("victim", [0, 1])
def test_killing_the_watcher_or_the_server_leaves_no_orphan(
    start: Any, family_of: Any, eventually: Any, victim: int
) -> None:
    process, port = start("leaves-child")
    eventually("the server answers", lambda: answers(process, port))
    family = family_of(process.pid)
    assert len(family.members) >= 3
    os.kill(family.members[victim].pid, signal.SIGKILL)
    process.wait(END_SECONDS_MAX)
    eventually("nothing is left", lambda: not family.living())
