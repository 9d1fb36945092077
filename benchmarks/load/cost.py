"""Requests per CPU-second of a Locust user of ours, beside stock Locust's and wrk, in turns against one nginx.

All CPU of the Locust process and of its driver counts. What was served is counted by nginx.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from benchmarks.load.running import BODY, END_SECONDS_MAX, Nginx, cpu_seconds, nginx, plan
from ops.loadtest.frames import Report
from ops.loadtest.plan import Plan

CONNECTIONS = 50
ROUNDS = 3
WARMUP_SECONDS, SECONDS = 4.0, 5.0
TARGET, STRETCH = 12_000, 40_000
SPAWN_RATE = 1000
LUA = 'wrk.method="POST"; wrk.headers["content-type"]="application/json"; wrk.body=[==[%s]==]'


@contextmanager
def locust(
    which: str, port: int, users: int, given: Plan | None = None
) -> Iterator[tuple[psutil.Process, list[Report]]]:
    """Locust at work, with a class of ``locustfile.py``; its driver's reports are there when it has ended."""
    with tempfile.TemporaryDirectory() as folder:
        plan_path, reports_path = Path(folder) / "plan", Path(folder) / "reports"
        plan_path.write_bytes(msgspec.msgpack.encode(given))
        environment = {
            **os.environ,
            "LOAD_BENCHMARK": which,
            "LOAD_BENCHMARK_PLAN": str(plan_path),
            "LOAD_BENCHMARK_REPORTS": str(reports_path),
        }
        command = [
            sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py")), "--headless",
            "-u", str(users), "-r", str(SPAWN_RATE), "--host", f"http://127.0.0.1:{port}", "--only-summary",
            "--stop-timeout", "10",
        ]  # fmt: skip
        child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        reports: list[Report] = []
        try:
            yield psutil.Process(child.pid), reports
            child.terminate()
            _, errors = child.communicate(timeout=END_SECONDS_MAX)
            if given is not None:
                if not reports_path.exists():
                    raise SystemExit(errors.decode()[-2000:])
                reports.extend(msgspec.msgpack.decode(reports_path.read_bytes(), type=list[Report]))
        finally:
            child.kill()
            child.wait()


@contextmanager
def wrk(port: int) -> Iterator[psutil.Process]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % BODY.decode())
        script.flush()
        url, seconds = f"http://127.0.0.1:{port}/v1/chat/completions", f"{WARMUP_SECONDS + SECONDS + 5:.0f}s"
        command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", seconds, "-s", script.name, url]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(END_SECONDS_MAX)


def per_cpu_second(process: psutil.Process, server: Nginx) -> dict[str, float]:
    """Of a generator that is already at work."""
    time.sleep(WARMUP_SECONDS)
    began, served, cpu = time.perf_counter(), server.requests(), cpu_seconds(process)
    time.sleep(SECONDS)
    served, cpu, wall = server.requests() - served, cpu_seconds(process) - cpu, time.perf_counter() - began
    return {"per_cpu_second": served / cpu, "per_second": served / wall, "cpu_share": cpu / wall}


def once(contender: str, server: Nginx) -> dict[str, float]:
    if contender == "wrk":
        with wrk(server.port) as process:
            return per_cpu_second(process, server)
    given = plan(server.port, 3600.0, 0.0, connections_max=CONNECTIONS) if contender == "ours" else None
    with locust(contender, server.port, CONNECTIONS, given) as (process, _):
        return per_cpu_second(process, server)


def run() -> dict[str, object]:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    contenders = ("ours", "fast", "plain", "wrk")
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    with nginx() as server:
        for number in range(ROUNDS):
            for name in contenders[:: 1 if number % 2 else -1]:
                measured[name].append(once(name, server))
                print(name, {key: round(value, 2) for key, value in measured[name][-1].items()}, flush=True)
    medians = {name: statistics.median(one["per_cpu_second"] for one in of) for name, of in measured.items()}
    for name, median in medians.items():
        print(f"{name:<6} {median:>9,.0f} requests per CPU-second")
    outcome = "pass" if medians["ours"] >= TARGET else "fail"
    return {"outcome": outcome, "target": TARGET, "stretch": STRETCH, "medians": medians, "rounds": measured}
