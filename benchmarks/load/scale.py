"""Generator, two gateway workers and two simulated engines together on one machine: how much of the promised peak?

Ten connected users for each request a second, and streams of 100 tokens asked for at rising rates, 20 tokens an event
as vLLM's ``--stream-interval`` gives. At each rate: are the targets met, how many fail, and where does the CPU go?
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import psutil

from benchmarks.gateway import ADMIN_KEY, MODEL, gateway_config
from benchmarks.load.running import END_SECONDS_MAX, Driven, free_port, plan
from ops.loadtest.calls import INTENDED, OK, TOKENS, failures
from ops.loadtest.plan import Phase
from ops.loadtest.recording import Measure
from serving.contract import Arm, Endpoint, Route, RoutingTable

RATES = (250.0, 500.0, 750.0, 1000.0)
TARGET_RATE, TARGET_TOKENS = 1000.0, 100_000
READY_SECONDS_MAX = 30.0
CONNECTIONS_PER_RATE = 10
"""Connected users for each request a second, as the spec promises: 10,000 at 1,000."""
WARMUP_SECONDS, SECONDS = 20.0, 15.0
"""Within the former all users connect."""
OUTPUT_TOKENS, TOKENS_PER_EVENT, STEP_MS = 100, 20, 5.0
WORKERS, ENGINES = 2, 2
LATENCY_SECONDS, FIRST_SECONDS, ERRORS = 2.0, 0.5, 0.001
"""The targets of a generation: p95 of the whole answer and of its first token; the share that may fail."""
PROFILE = {
    "step_base_ms": STEP_MS, "step_sequence_ms": 0, "step_prefill_token_ms": 0.001, "step_jitter": 0,
    "max_num_seqs": 4096, "max_num_queued_reqs": 8192, "kv_blocks": 200_000, "stream_interval": TOKENS_PER_EVENT,
}  # fmt: skip
BODY = json.dumps({
    "model": MODEL, "messages": [{"role": "user", "content": "Tell me of the river. " * 18}], "stream": True,
    "max_tokens": OUTPUT_TOKENS, "ignore_eos": True, "stream_options": {"include_usage": True},
}).encode()  # fmt: skip
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"


@contextmanager
def running(command: list[str], log: Path) -> Iterator[psutil.Process]:
    with log.open("wb") as file:
        child = subprocess.Popen([sys.executable, *command], stdout=file, stderr=file)
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        try:
            child.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            child.kill()


def answers(url: str, method: str = "GET", data: bytes | None = None) -> bool:
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request(method, f"/{path}", data, {"authorization": f"Bearer {ADMIN_KEY}"})
        answer = connection.getresponse()
        if answer.status >= 500 or answer.status < 300:
            return answer.status < 300
        raise SystemExit(f"{url}: {answer.status} {answer.read()[:500]!r}")
    except OSError:
        return False
    finally:
        connection.close()


def await_true(holds: object, log: Path) -> None:
    for _ in range(int(READY_SECONDS_MAX * 10)):
        if holds():  # type: ignore[operator]
            return
        time.sleep(0.1)
    raise SystemExit(f"{log.name}: {log.read_text()[-2000:]}")


def engine(stack: ExitStack, here: Path) -> tuple[psutil.Process, str]:
    port = free_port()
    folder = here / f"model-{port}"
    folder.mkdir()
    (folder / "simulated.json").write_text(json.dumps(PROFILE))
    options = ["--engine", "simulated", "--model", str(folder), "--model-name", MODEL, "--port", str(port)]
    process = stack.enter_context(running(["-m", "serving.engine", *options], here / f"engine-{port}.log"))
    url = f"http://127.0.0.1:{port}"
    await_true(lambda: answers(f"{url}/health"), here / f"engine-{port}.log")
    return process, url


def gateway(stack: ExitStack, here: Path, number: int, port: int, table: bytes) -> psutil.Process:
    admin = free_port()
    options = {
        "--config": here / "serving.json", "--worker": f"gateway-{number}", "--port": port, "--admin-port": admin,
        "--state-dir": here / f"state-{number}", "--secrets-file": here / "secrets.json",
    }  # fmt: skip
    words = [str(part) for pair in options.items() for part in pair]
    process = stack.enter_context(running(["-m", "serving.gateway", *words], here / f"gateway-{number}.log"))
    url = f"http://127.0.0.1:{admin}/admin/routes/production"
    await_true(lambda: answers(url, "PUT", table), here / f"gateway-{number}.log")
    return process


@contextmanager
def standing() -> Iterator[tuple[int, dict[str, list[psutil.Process]]]]:
    """The gateway's port, and who serves."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        here = Path(folder)
        config = gateway_config()
        limits = msgspec.structs.replace(config.limits, in_flight_max=8192, queue_max=2048)
        (here / "serving.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(config, limits=limits)))
        (here / "secrets.json").write_text(json.dumps({"admin_key": ADMIN_KEY, "synthetic_token": "benchmark-token"}))
        engines = [engine(stack, here) for _ in range(ENGINES)]
        endpoints = tuple(Endpoint(f"engine-{i}", url) for i, (_, url) in enumerate(engines))
        route = Route(Arm.STABLE, "r1", 10_000, endpoints, "v1")
        table = msgspec.json.encode(RoutingTable(tier="production", epoch=1, routes=(route,), lease_seconds=3600))
        port = free_port()
        workers = [gateway(stack, here, number, port, table) for number in range(WORKERS)]
        yield port, {"gateway": workers, "engines": [process for process, _ in engines]}


def at(rate: float, port: int, serving: dict[str, list[psutil.Process]]) -> dict[str, object]:
    users = int(CONNECTIONS_PER_RATE * rate)
    more = {"stream": True, "connections_max": users, "connections_held": users}
    given = plan(port, WARMUP_SECONDS + SECONDS, rate, **more)
    phases = (Phase("warm-up", WARMUP_SECONDS, measured=False), Phase("steady", SECONDS))
    request = HEAD.format(len(BODY)).encode() + BODY
    given = msgspec.structs.replace(given, requests=((0, request),), phases=phases, drain_seconds_max=10)
    driven = Driven(given)
    time.sleep(max(0.0, driven.started_unix_seconds() + WARMUP_SECONDS - time.time()))
    before = {name: used(processes) for name, processes in serving.items()}
    time.sleep(SECONDS)
    cores = {name: (used(processes) - before[name]) / SECONDS for name, processes in serving.items()}
    driven.wait()
    steady = driven.by_phase[1]
    counts = steady.counts
    failed = sum(failures(counts).values())
    p95 = {
        str(measure): steady.histograms[measure].percentile(95) if counts[OK] else None
        for measure in (Measure.LATENCY, Measure.FIRST_TOKEN, Measure.SEND_LAG)
    }
    cores["generator"] = sum(report.cpu_seconds for report in driven.reports) / driven.reports[-1].elapsed_seconds
    met = (
        failed <= ERRORS * counts[INTENDED]
        and (p95["latency"] or 99) <= LATENCY_SECONDS
        and (p95["first_token"] or 99) <= FIRST_SECONDS
    )
    return {
        "rate": rate, "met": met, "connections": max(report.connections for report in driven.reports),
        "requests": counts[INTENDED], "answered": counts[OK], "failed": failures(counts), "p95_seconds": p95,
        "tokens_per_second": counts[TOKENS] / SECONDS, "cores": cores,
    }  # fmt: skip


def used(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def run() -> dict[str, object]:
    found = []
    for rate in RATES:
        with standing() as (port, serving):
            found.append(at(rate, port, serving))
        print(json.dumps(found[-1]), flush=True)
    best = max((row["rate"] for row in found if row["met"]), default=0)
    return {"outcome": "pass" if best == TARGET_RATE else "fail", "best": best, "rates": found}
