"""Starts real simulated engines for the tests, on free ports, and ends them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

READY_SECONDS_MAX = 30.0
END_SECONDS_MAX = 30.0
MODEL_NAME = "sim"


@dataclass
class RunningEngine:
    url: str
    port: int
    model_name: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return bytes(answer.read())

    def set_faults(self, **faults: object) -> None:
        request = urllib.request.Request(
            self.url + "/simulated/faults", json.dumps(faults).encode(), {"content-type": "application/json"},
            method="PUT",
        )  # fmt: skip
        urllib.request.urlopen(request, timeout=30).close()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name with these labels."""
        found = [
            float(line.rsplit(" ", 1)[1])
            for line in self.get("/metrics").decode().splitlines()
            if line.startswith((name + "{", name + " ")) and all(f'{k}="{v}"' in line for k, v in labels.items())
        ]
        assert found, f"no sample {name}"
        return sum(found)

    def wait_until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not holds():
            assert time.monotonic() < deadline, f"{what}: not within {READY_SECONDS_MAX} s"
            time.sleep(0.02)

    def is_up(self) -> bool:
        try:
            self.get("/health")
        except OSError:
            return False
        return True

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_SECONDS_MAX)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


StartEngine = Callable[..., RunningEngine]


def _starter(folder: Path, started: list[RunningEngine]) -> StartEngine:
    def start(profile: dict[str, Any], *arguments: str, wait: bool = True, port: int | None = None) -> RunningEngine:
        model = folder / f"model-{len(started)}"
        model.mkdir()
        (model / "simulated.json").write_text(json.dumps(profile))
        port = port or free_port()
        log = folder / f"engine-{len(started)}.log"
        command = [
            sys.executable, "-m", "serving.engine", "--engine", "simulated", "--model", str(model), "--model-name",
            MODEL_NAME, "--port", str(port), *arguments,
        ]  # fmt: skip
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stderr=output, stdout=output, env={**os.environ, "PYTHONUNBUFFERED": "1"}
            )
        engine = RunningEngine(f"http://127.0.0.1:{port}", port, MODEL_NAME, process, log)
        started.append(engine)
        if wait:
            engine.wait_until("the engine's start", lambda: process.poll() is not None or engine.is_up())
            assert process.poll() is None, log.read_text()
        return engine

    return start


def _end(started: list[RunningEngine]) -> None:
    for engine in started:
        if engine.process.poll() is None:
            engine.process.kill()
            engine.process.wait(END_SECONDS_MAX)


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[StartEngine]:
    started: list[RunningEngine] = []
    yield _starter(tmp_path, started)
    _end(started)


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    """An engine without faults, small enough that its limits are near."""
    started: list[RunningEngine] = []
    profile = {"max_model_len": 1024, "kv_blocks": 512, "tick_ms": 0}
    yield _starter(tmp_path_factory.mktemp("engine"), started)(profile)
    _end(started)


@pytest.fixture
def engine(shared_engine: RunningEngine) -> Iterator[RunningEngine]:
    """The shared engine, without faults before and after each test."""
    shared_engine.set_faults()
    yield shared_engine
    shared_engine.set_faults()
