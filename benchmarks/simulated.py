"""How much one simulated engine streams on one core: ``python benchmarks/simulated.py [--json]``.

The engine runs on one core, the clients on another. All streams are open before the clock starts; then the events
that clients received are counted, and the engine's own CPU time. A run is invalid if the clients were the bottleneck,
if streams ended early, or if the machine made the engine give up simulated time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import psutil
import uvloop

READY_SECONDS_MAX = 60.0
OPEN_SECONDS_MAX = 120.0
CLIENT_CPU_MAX = 0.95
"""Busier than this, the clients may have been what limited the run."""
DEVIATION_MAX = 0.04
"""The engine's pace may differ by this share from what it was told to produce."""
TOKENS, LOST_SECONDS = "vllm:generation_tokens_total", "simulated_lost_seconds_total"


@dataclass(frozen=True)
class Scenario:
    name: str
    tokens_per_event: int
    tokens_per_second: int
    """What the engine is told to produce, over all streams."""
    target: str
    merged_tokens_max: float
    """An engine that lags merges what it owes into fewer events; with more tokens an event the target means little."""


@dataclass(frozen=True)
class Result:
    scenario: str
    streams_open: int
    tokens_per_event: int
    seconds: float
    offered_tokens_per_second: int
    tokens_per_second: float
    events_per_second: float
    tokens_per_event_measured: float
    engine_cpu_percent: float
    cpu_us_per_event: float
    events_per_cpu_second: float
    client_cpu_percent: float
    lost_seconds: float
    engine_rss_mb: float
    valid: bool
    why_invalid: str


class Stream(asyncio.Protocol):
    """One streamed request over a raw connection; counts its events and nothing else."""

    def __init__(self, request: bytes, counts: list[int]) -> None:
        self._request = request
        self._counts = counts
        self._started = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.WriteTransport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        # Every event ends with an empty line within its HTTP chunk.
        events = data.count(b"}\n\n")
        self._counts[0] += events
        if events and not self._started:
            self._started = True
            self._counts[1] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._counts[2] += 1


def clients(port: int, streams: int, tokens_max: int, core: int, pipe: Connection) -> None:
    """Runs in a process of its own: opens the streams, then answers every message with its counts."""
    os.sched_setaffinity(0, {core})
    body = json.dumps({
        "model": "bench", "messages": [{"role": "user", "content": "Tell me about the river."}],
        "max_tokens": tokens_max, "ignore_eos": True, "stream": True,
    }).encode()  # fmt: skip
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
    uvloop.run(_clients(port, streams, request, pipe))


async def _clients(port: int, streams: int, request: bytes, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    counts = [0, 0, 0]
    for _ in range(streams):
        await loop.create_connection(lambda: Stream(request, counts), "127.0.0.1", port)
    asked = asyncio.Event()
    loop.add_reader(pipe.fileno(), asked.set)
    while True:
        await asked.wait()
        asked.clear()
        if pipe.recv() == "stop":
            return
        pipe.send((*counts, time.monotonic(), time.process_time()))


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name) and line[len(name)] in "{ ":
                return float(line.rsplit(" ", 1)[1])
    raise KeyError(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, seconds: float, done: object) -> None:
    deadline = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took more than {seconds} s")
        time.sleep(0.1)


@dataclass(frozen=True)
class EngineSample:
    at: float
    tokens: float
    lost: float
    cpu: float
    rss_bytes: int

    @classmethod
    def take(cls, port: int, pid: int) -> EngineSample:
        process = psutil.Process(pid)
        tokens = metric(port, TOKENS)
        at, cpu = time.monotonic(), sum(process.cpu_times()[:2])
        return cls(at, tokens, metric(port, LOST_SECONDS), cpu, process.memory_info().rss)


def measure(scenario: Scenario, streams: int, seconds: float, cores: tuple[int, int]) -> Result:
    """One run of one scenario with an engine of its own."""
    step_ms = 1000 * streams / scenario.tokens_per_second
    tokens_max = int((seconds + 60) * scenario.tokens_per_second / streams) + 64
    profile = {
        "step_base_ms": step_ms, "step_sequence_ms": 0, "step_prefill_token_ms": 0.001, "step_jitter": 0,
        "max_num_seqs": streams, "max_num_queued_reqs": streams, "max_model_len": tokens_max + 64,
        "kv_blocks": streams * (tokens_max // 16 + 8), "stream_interval": scenario.tokens_per_event, "tick_ms": 0,
    }  # fmt: skip
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "simulated.json").write_text(json.dumps(profile))
        command = [
            sys.executable, "-m", "serving.engine", "--engine", "simulated", "--model", folder, "--model-name",
            "bench", "--port", str(port),
        ]  # fmt: skip
        engine = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            os.sched_setaffinity(engine.pid, {cores[0]})
            wait_until("the engine's start", READY_SECONDS_MAX, lambda: _healthy(port))
            return _measured(scenario, streams, seconds, tokens_max, cores[1], port, engine.pid)
        finally:
            engine.terminate()
            engine.wait(30)


def _healthy(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
    except OSError:
        return False
    return True


def _measured(
    scenario: Scenario, streams: int, seconds: float, tokens_max: int, core: int, port: int, pid: int
) -> Result:
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=clients, args=(port, streams, tokens_max, core, there), daemon=True
    )
    process.start()
    try:
        def sample() -> tuple[int, int, int, float, float]:
            here.send("counts")
            return here.recv()  # type: ignore[no-any-return]

        wait_until("opening all streams", OPEN_SECONDS_MAX, lambda: sample()[1] >= streams)
        time.sleep(1)
        engine = EngineSample.take(port, pid)
        before = sample()
        time.sleep(seconds)
        after = sample()
        engine_after = EngineSample.take(port, pid)
        open_streams = int(metric(port, "vllm:num_requests_running"))
        here.send("stop")
    finally:
        process.join(10)
        process.kill()
    took, events = after[3] - before[3], after[0] - before[0]
    engine_took = engine_after.at - engine.at
    tokens_rate = (engine_after.tokens - engine.tokens) / engine_took
    cpu = (engine_after.cpu - engine.cpu) / engine_took
    events_rate, lost = events / took, engine_after.lost - engine.lost
    client_cpu, offered = (after[4] - before[4]) / took, scenario.tokens_per_second
    merged = tokens_rate / events_rate
    reasons = [
        reason
        for reason, holds in (
            ("the clients were saturated", client_cpu > CLIENT_CPU_MAX and cpu < CLIENT_CPU_MAX),
            ("streams ended early", after[2] > 0 or open_streams < streams),
            ("the engine gave up simulated time", lost > 0),
            ("the pace was not the one offered", abs(tokens_rate / offered - 1) > DEVIATION_MAX),
            ("events were merged", merged > scenario.merged_tokens_max),
        )
        if holds
    ]
    return Result(
        scenario.name, open_streams, scenario.tokens_per_event, round(took, 2), scenario.tokens_per_second,
        round(tokens_rate), round(events_rate), round(merged, 2), round(100 * cpu, 1),
        round(1e6 * cpu / events_rate, 1), round(events_rate / cpu), round(100 * client_cpu, 1), round(lost, 2),
        round(engine_after.rss_bytes / 1e6, 1), not reasons, "; ".join(reasons),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--streams", type=int, default=2000, help="open streams (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each run (default: %(default)s)")
    parser.add_argument("--single-tokens", type=int, default=21500, help="tokens/s of the single-token run")
    parser.add_argument("--several-tokens", type=int, default=53000, help="tokens/s of the several-token run")
    parser.add_argument("--tokens-per-event", type=int, default=5, help="of the several-token run (--stream-interval)")
    parser.add_argument("--cores", type=int, nargs=2, default=(0, 1), help="of the engine and of the clients")
    parser.add_argument("--json", action="store_true", help="results as JSON")
    arguments = parser.parse_args()
    several = arguments.tokens_per_event
    scenarios = (
        Scenario("single-token events", 1, arguments.single_tokens, "20,000 events/s", 1.05),
        Scenario(f"{several} tokens an event", several, arguments.several_tokens, "50,000 tokens/s", 2.0 * several),
    )
    results = []
    for scenario in scenarios:
        result = measure(scenario, arguments.streams, arguments.seconds, tuple(arguments.cores))
        results.append(result)
        print(
            f"{result.scenario}: {result.events_per_second:,} events/s, {result.tokens_per_second:,} tokens/s on "
            f"{result.streams_open:,} streams; engine {result.engine_cpu_percent} % of a core "
            f"({result.cpu_us_per_event} us an event, {result.events_per_cpu_second:,} events per CPU second), "
            f"clients {result.client_cpu_percent} %, {result.engine_rss_mb} MB; target {scenario.target}: "
            + ("valid" if result.valid else f"INVALID, {result.why_invalid}"),
            file=sys.stderr,
        )
    if arguments.json:
        print(json.dumps({"version": 1, "results": [asdict(result) for result in results]}))
    return 0 if all(result.valid for result in results) else 4


if __name__ == "__main__":
    sys.exit(main())
