"""The gateway's CPU time per request and per streamed event, beside a bare proxy: ``python benchmarks/gateway.py``.

Both stand in front of the same trivial upstream and get the same requests in turns. The bare proxy is uvicorn and
aiohttp with the same loop and parser, and does nothing else: no limits, no routing, no counting, no log. What is
compared is the CPU time of the proxy's own process. Exit 0 if both ratios keep the target, 1 if not, 4 if the run
says nothing: the upstream was busy all the time, or answers were wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import aiohttp
import msgspec
import psutil
import uvicorn
import uvloop

from serving.contract import (
    Arm,
    BadEvent,
    ClassConfig,
    Endpoint,
    LimitsConfig,
    Route,
    RoutingTable,
    ServingConfig,
    StrataConfig,
    TaskConfig,
    TaskKind,
    TierConfig,
)

RATIO_MAX = 1.5
"""The target: the gateway's CPU time over the bare proxy's."""
UPSTREAM_BUSY_MAX = 0.85
"""Busier than this, the upstream may have been what limited the run."""
EVENTS = 64
EVENT_GAP_SECONDS = 0.001
CONNECTIONS = 32
WARMUP_SECONDS = 1.5
READY_SECONDS_MAX = 30.0
ADMIN_KEY = "benchmark-admin-key"
MODEL = "gratefulgpt-7b"
PATH = "/v1/chat/completions"

WORDS = b"".join(b"word%d " % i for i in range(50))
"""They differ, as an answer's do: one that says the same over and over is another case."""
ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gratefulgpt-7b","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"%s"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":60,"total_tokens":110,"completion_tokens":50}}' % WORDS
)
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gratefulgpt-7b",'
    b'"choices":[{"index":0,"delta":{"content":" word%d"},"logprobs":null,"finish_reason":null}]}\n\n'
)
LAST = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gratefulgpt-7b","choices":[],'
    b'"usage":{"prompt_tokens":60,"total_tokens":124,"completion_tokens":64}}\n\ndata: [DONE]\n\n'
)


def request_bytes(streamed: bool) -> bytes:
    """A complete HTTP request with a body of about half a kilobyte."""
    messages = [{"role": "user", "content": "Tell me of the river. " * 18}]
    body = json.dumps({"model": MODEL, "messages": messages, "max_tokens": 64, "stream": streamed}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


# --- The servers ------------------------------------------------------------------------------------------------


async def upstream(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
    """Answers at once; a stream in events a millisecond apart."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    if b'"stream": true' not in body:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})
        return
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for i in range(EVENTS):
        await send({"type": "http.response.body", "body": EVENT % i, "more_body": True})
        await asyncio.sleep(EVENT_GAP_SECONDS)
    await send({"type": "http.response.body", "body": LAST})


class BareProxy:
    """The least that forwards a request, and streams its answer back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if self._session is None:
            connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        headers = {"content-type": "application/json"}
        async with self._session.post(self._url + scope["path"], data=body, headers=headers) as response:
            kept = [
                (name.lower(), value)
                for name, value in response.raw_headers
                if name.lower() in (b"content-type", b"content-length")
            ]
            await send({"type": "http.response.start", "status": response.status, "headers": kept})
            async for chunk in response.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def serve(app: object, port: int) -> None:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",
        proxy_headers=False,
        server_header=False,
    )
    uvicorn.Server(config).run()


# --- The load ---------------------------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """One connection that sends its next request when it has the whole answer."""

    def __init__(self, request: bytes, streamed: bool) -> None:
        self._request, self._streamed = request, streamed
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.answered = 0
        self.wrong = 0
        self.stopped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = b"0\r\n\r\n" if self._streamed else ANSWER[-20:]
        if not self._buffer.endswith(end):
            return
        good = self._buffer.startswith(b"HTTP/1.1 200")
        if self._streamed:
            good = good and self._buffer.count(b'"content":" word') == EVENTS and b"data: [DONE]" in self._buffer
        self.answered += good
        self.wrong += not good
        self._buffer.clear()
        assert self._transport is not None
        if self.stopped:
            self._transport.close()
        else:
            self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self.wrong += not self.stopped


@dataclass(frozen=True)
class Measured:
    requests: int
    wrong: int
    cpu_seconds: float
    proxy_busy: float
    upstream_busy: float

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu_seconds / max(1, self.requests) * 1e6


async def load(port: int, streamed: bool, seconds: float, proxy: psutil.Process, up: psutil.Process) -> Measured:
    """Keeps every connection busy for ``seconds``, and reads the CPU clocks of proxy and upstream."""
    loop = asyncio.get_running_loop()
    request = request_bytes(streamed)
    clients = []
    for _ in range(CONNECTIONS):
        _, client = await loop.create_connection(lambda: Client(request, streamed), "127.0.0.1", port)
        clients.append(client)
    before = _cpu(proxy), _cpu(up), time.perf_counter(), sum(client.answered for client in clients)
    await asyncio.sleep(seconds)
    after = _cpu(proxy), _cpu(up), time.perf_counter(), sum(client.answered for client in clients)
    for client in clients:
        client.stopped = True
    await asyncio.sleep(0.3)
    proxy_cpu, up_cpu, elapsed, answered = (b - a for a, b in zip(before, after, strict=True))
    wrong = sum(client.wrong for client in clients)
    return Measured(int(answered), wrong, proxy_cpu, proxy_cpu / elapsed, up_cpu / elapsed)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


# --- The run ----------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(command: list[str], port: int, core: int | None, log: Path) -> Iterator[psutil.Process]:
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *command], stdout=file, stderr=file)
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        _await_port(process, port, log)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"a server did not start: {log.read_text()[-2000:]}")


def gateway_config() -> ServingConfig:
    return ServingConfig(
        service="benchmark",
        spec_digest="",
        tiers={"production": TierConfig(MODEL, 8192)},
        tasks=(TaskConfig("openai-chat", PATH, TaskKind.OPENAI_CHAT, "generation", 512, "production"),),
        classes={"generation": ClassConfig(2.0, 30.0, 0.5, 0.1)},
        strata=StrataConfig((512, 4096), (32, 128)),
        limits=LimitsConfig(1_048_576, 10.0, 65_536, 2048, 100, 5.0, 2.0, 2, 30.0, 8),
        latency_bounds_seconds=(0.01, 0.1, 0.5, 1.0, 2.0, 10.0),
        first_token_bounds_seconds=(0.01, 0.1, 0.5, 1.0),
        token_interval_bounds_seconds=(0.001, 0.005, 0.02, 0.1),
    )


def push_table(admin_port: int, upstream_url: str) -> None:
    """A rollout in progress: a canary with 5 %, levels of all graded events, a lease."""
    endpoint = (Endpoint("replica", upstream_url),)
    levels = {
        BadEvent.SLOW: (0.05, 0.1, 0.2, 0.5),
        BadEvent.SLOW_FIRST_TOKEN: (0.01, 0.05, 0.1, 0.25),
        BadEvent.SLOW_TOKENS: (0.001, 0.002, 0.005, 0.01),
        BadEvent.OUTPUT_LENGTH: (20.0, 50.0, 60.0, 100.0),
    }
    table = RoutingTable(
        tier="production",
        epoch=1,
        routes=(Route(Arm.STABLE, "r1", 9_500, endpoint, "v1"), Route(Arm.CANARY, "r2", 500, endpoint, "v1")),
        lease_seconds=3600,
        levels={"generation": {"p0o1": levels, "p1o1": levels}},
    )
    connection = http.client.HTTPConnection("127.0.0.1", admin_port, timeout=5)
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    connection.request("PUT", "/admin/routes/production", msgspec.json.encode(table), headers)
    assert connection.getresponse().status == 200


def run(rounds: int, seconds: float) -> dict[str, object]:
    cores = sorted(os.sched_getaffinity(0))
    proxy_core, other_core = (cores[0], cores[1]) if len(cores) > 1 else (None, None)
    if other_core is not None:
        os.sched_setaffinity(0, {other_core})
    ports = {name: free_port() for name in ("upstream", "bare", "gateway", "admin")}
    upstream_url = f"http://127.0.0.1:{ports['upstream']}"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        here = Path(folder)
        (here / "serving.json").write_bytes(msgspec.json.encode(gateway_config()))
        secrets = {"admin_key": ADMIN_KEY, "synthetic_token": "benchmark-token"}
        (here / "secrets.json").write_text(json.dumps(secrets))
        options = {
            "--config": here / "serving.json",
            "--worker": "gateway-0",
            "--port": ports["gateway"],
            "--admin-port": ports["admin"],
            "--state-dir": here / "state",
            "--secrets-file": here / "secrets.json",
        }
        gateway = ["-m", "serving.gateway", *(str(part) for pair in options.items() for part in pair)]
        me = [__file__, "--role"]
        up_command = [*me, "upstream", "--port", str(ports["upstream"])]
        bare_command = [*me, "bare", "--port", str(ports["bare"]), "--upstream", upstream_url]
        up = stack.enter_context(started(up_command, ports["upstream"], other_core, here / "upstream.log"))
        proxies = {
            "bare": stack.enter_context(started(bare_command, ports["bare"], proxy_core, here / "bare.log")),
            "gateway": stack.enter_context(started(gateway, ports["gateway"], proxy_core, here / "gateway.log")),
        }
        push_table(ports["admin"], upstream_url)
        return measure(rounds, seconds, ports, proxies, up)


def measure(
    rounds: int, seconds: float, ports: dict[str, int], proxies: dict[str, psutil.Process], up: psutil.Process
) -> dict[str, object]:
    taken: dict[str, dict[str, list[Measured]]] = {}
    for streamed in (False, True):
        by_proxy = taken["event" if streamed else "request"] = {name: [] for name in proxies}
        for name, proxy in proxies.items():
            uvloop.run(load(ports[name], streamed, WARMUP_SECONDS, proxy, up))
        for i in range(rounds):
            order = list(proxies.items())[:: 1 if i % 2 else -1]
            for name, proxy in order:
                by_proxy[name].append(uvloop.run(load(ports[name], streamed, seconds, proxy, up)))
    results = {name: summary(name, by_proxy) for name, by_proxy in taken.items()}
    everything = [one for by_proxy in taken.values() for measured in by_proxy.values() for one in measured]
    upstream_busy = max(one.upstream_busy for one in everything)
    wrong = sum(one.wrong for one in everything)
    sound = upstream_busy <= UPSTREAM_BUSY_MAX and not wrong and all(one.requests for one in everything)
    kept = all(float(str(result["ratio"])) <= RATIO_MAX for result in results.values())
    return {
        "schema": "gratefulgpt.benchmark.gateway/1",
        "outcome": ("pass" if kept else "fail") if sound else "invalid",
        "ratio_max": RATIO_MAX,
        "rounds": rounds,
        "upstream_busy_max": round(upstream_busy, 3),
        "wrong_answers": wrong,
        "results": results,
        "samples": {
            name: {proxy: [asdict(one) for one in measured] for proxy, measured in by_proxy.items()}
            for name, by_proxy in taken.items()
        },
    }


def summary(name: str, by_proxy: dict[str, list[Measured]]) -> dict[str, object]:
    """Medians in microseconds of CPU; ratios of rounds that stood side by side."""
    per = EVENTS if name == "event" else 1
    costs = {proxy: [one.cpu_us_per_request / per for one in measured] for proxy, measured in by_proxy.items()}
    ratios = [mine / bare for mine, bare in zip(costs["gateway"], costs["bare"], strict=True)]
    return {
        "bare_us": round(statistics.median(costs["bare"]), 2),
        "gateway_us": round(statistics.median(costs["gateway"]), 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_lowest": round(min(ratios), 3),
        "ratio_highest": round(max(ratios), 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round for one proxy")
    parser.add_argument("--json", action="store_true", help="everything that was measured")
    parser.add_argument("--role", choices=["upstream", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--upstream", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role:
        serve(upstream if given.role == "upstream" else BareProxy(given.upstream), given.port)
        return 0
    result = run(given.rounds, given.seconds)
    if given.json:
        print(json.dumps(result, indent=2))
    else:
        print(f"{'CPU per':<10}{'bare µs':>10}{'gateway µs':>12}{'ratio':>8}{'lowest':>9}{'highest':>9}")
        for name, row in result["results"].items():  # type: ignore[attr-defined]
            ratios = f"{row['ratio']:>8}{row['ratio_lowest']:>9}{row['ratio_highest']:>9}"
            print(f"{name:<10}{row['bare_us']:>10}{row['gateway_us']:>12}{ratios}")
        outcome, busy, wrong = (result[name] for name in ("outcome", "upstream_busy_max", "wrong_answers"))
        print(f"{outcome}: target {RATIO_MAX}, {given.rounds} rounds, upstream busy at most {busy:.0%}, {wrong} wrong")
    return {"pass": 0, "fail": 1, "invalid": 4}[str(result["outcome"])]


if __name__ == "__main__":
    sys.exit(main())
