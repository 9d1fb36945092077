"""A small service of real processes, gateway and simulated engine, and ``ops load`` as people start it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import yaml

from ops.adapters.spec_file import load_spec
from ops.spec.compiling import compile_serving
from serving.contract import WEIGHT_TOTAL, Arm, Endpoint, Route, RoutingTable

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks stand beside the packages and are not installed
TIER = "production"
READY_SECONDS_MAX = 60.0
RUN_SECONDS_MAX = 120.0
ADMIN_KEY = "an-admin-key-for-the-tests-of-load"
SYNTHETIC = "a-synthetic-token-for-the-tests-of-load"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until(condition: Callable[[], object], words: str, seconds: float = READY_SECONDS_MAX) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {words}"
        time.sleep(0.05)


@dataclass(frozen=True)
class Service:
    """A gateway worker with one simulated engine behind it."""

    url: str
    metrics_url: str
    engine_url: str

    def set_faults(self, **faults: object) -> None:
        """Of the engine; none: it is well again."""
        body = json.dumps(faults).encode()
        request = urllib.request.Request(self.engine_url + "/simulated/faults", data=body, method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            pass


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    spec = load_spec(ROOT / "gratefulgpt.yaml")
    (folder / "simulated.json").write_text("{}")
    (folder / "config.json").write_bytes(msgspec.json.encode(compile_serving(spec)))
    (folder / "secrets.json").write_text(json.dumps({"admin_key": ADMIN_KEY, "synthetic_token": SYNTHETIC}))
    engine, public, admin = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    port = {url: url.rpartition(":")[2] for url in (engine, public, admin)}
    commands = [
        ["serving.engine", "--engine", "simulated", "--model", str(folder), "--model-name", spec.tiers[TIER].model,
         "--port", port[engine]],
        ["serving.gateway", "--config", str(folder / "config.json"), "--worker", "gateway-0", "--port", port[public],
         "--admin-port", port[admin], "--state-dir", str(folder / "state"),
         "--secrets-file", str(folder / "secrets.json")],
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        processes = [
            subprocess.Popen([sys.executable, "-m", *line], cwd=ROOT, stdout=log, stderr=log) for line in commands
        ]
    try:
        wait_until(lambda: _answers(engine + "/health") and _answers(admin + "/healthz"), str(folder / "log"))
        _push(admin, engine)
        yield Service(public, admin + "/metrics", engine)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _push(admin: str, engine: str) -> None:
    route = Route(Arm.STABLE, "r1", WEIGHT_TOTAL, (Endpoint("replica-1", engine),), "v1")
    table = msgspec.json.encode(RoutingTable(TIER, 1, (route,)))
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    request = urllib.request.Request(f"{admin}/admin/routes/{TIER}", data=table, headers=headers, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


@pytest.fixture(scope="session")
def short_spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference spec, whose smoke suite takes seconds."""
    spec = yaml.safe_load((ROOT / "gratefulgpt.yaml").read_text())
    spec["load"]["requests_distinct"] = 300
    spec["load"]["suites"]["smoke"]["stages"] = [
        {"name": "warm-up", "seconds": 1, "percent": 3, "measured": False},
        {"name": "steady", "seconds": 8, "percent": 3, "replicas": 2},
    ]
    path = tmp_path_factory.mktemp("spec") / "spec.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


@dataclass
class Loads:
    """``ops load`` with a spec, in a folder."""

    spec: Path
    folder: Path

    def line(self, suite: str, *more: str) -> list[str]:
        return [
            *(sys.executable, "-m", "ops.cli.main", "load", suite, "--spec", str(self.spec)),
            *("--run-dir", str(self.folder / "none"), "--folder", str(self.folder / "reports"), *more),
        ]

    def start(self, suite: str, *more: str, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.line(suite, *more), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **options.pop("environment", {})}, **options,  # type: ignore[call-overload, dict-item]
        )  # fmt: skip

    def run(self, suite: str, *more: str, **options: object) -> subprocess.CompletedProcess[str]:
        process = self.start(suite, *more, **options)
        try:
            out, err = process.communicate(timeout=RUN_SECONDS_MAX)
        finally:
            if process.poll() is None:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def report(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / "reports" / "report.json").read_text())
        return found


@pytest.fixture
def loads(short_spec: Path, tmp_path: Path) -> Loads:
    return Loads(short_spec, tmp_path)
