"""A fake engine (a real server that misbehaves on request) and gateways as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from serving.contract import CounterCell, CounterSnapshot, RoutingTable, ServingConfig


@dataclass
class FakeEngine:
    """Answers as an engine does; ``behaviour`` says how it fails."""

    url: str = ""
    behaviour: str = "good"
    answer: str = "Hello from the engine"
    finish_reason: str = "stop"
    refusal: str | None = None
    tells_usage: bool = True
    event_gap_seconds: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    cancelled: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    """What a hanging answer waits for."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.requests.append(json.loads(raw))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        try:
            return await self._answer(request, self.requests[-1])
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += 1
            raise

    async def _answer(self, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        if self.behaviour.isdigit():
            error = {"error": {"message": "no", "type": "x", "code": int(self.behaviour)}}
            return web.json_response(error, status=int(self.behaviour))
        if self.behaviour == "hang":
            await self.release.wait()
        if self.behaviour == "die":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if asked.get("stream"):
            return await self._stream(request, asked)
        content = "" if self.behaviour == "empty" else self.answer
        body = self._body(asked, content)
        if self.behaviour == "die_in_answer":
            response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "100000"})
            await response.prepare(request)
            await response.write(body[:20])
            assert request.transport is not None
            request.transport.close()
            return response
        return web.Response(body=body, content_type="application/json")

    def _body(self, asked: dict[str, Any], content: str) -> bytes:
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.finish_reason}
        if "messages" in asked:
            choice["message"] = {"role": "assistant", "content": content, "refusal": self.refusal}
        else:
            choice["text"] = content
        usage = {"prompt_tokens": 7, "total_tokens": 12, "completion_tokens": 5}
        answer = {
            "id": "cmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked.get("model"),
            "choices": [choice],
            **({"usage": usage} if self.tells_usage else {}),
        }
        return json.dumps(answer).encode()

    async def _stream(self, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        words = [] if self.behaviour == "empty" else self.answer.split()
        await self._event(response, asked, {"role": "assistant", "content": ""}, None)
        if self.refusal is not None:
            await self._event(response, asked, {"refusal": self.refusal}, None)
        for i, word in enumerate(words):
            if self.behaviour == "hang_in_stream" and i == 2:
                await self.release.wait()
            if self.behaviour == "die_in_stream" and i == 2:
                assert request.transport is not None
                request.transport.abort()
                return response
            if self.behaviour == "error_in_stream" and i == 2:
                await response.write(b'data: {"error": {"message": "died", "code": 500}}\n\ndata: [DONE]\n\n')
                return response
            await self._event(response, asked, {"content": word if i == 0 else f" {word}"}, None)
            await asyncio.sleep(self.event_gap_seconds)
        await self._event(response, asked, {}, self.finish_reason)
        if self.tells_usage and (asked.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 7, "total_tokens": 12, "completion_tokens": 5}
            last = {"id": "cmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage}
            await response.write(f"data: {json.dumps(last, separators=(',', ':'))}\n\n".encode())
        if self.behaviour != "cut":
            await response.write(b"data: [DONE]\n\n")
        return response

    async def _event(
        self, response: web.StreamResponse, asked: dict[str, Any], delta: dict[str, str], reason: str | None
    ) -> None:
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason}
        if "messages" in asked:
            choice["delta"] = delta
        else:
            choice["text"] = delta.get("content", "")
        chunk = {
            "id": "cmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": asked.get("model"),
            "choices": [choice],
        }
        await response.write(f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n".encode())


@contextlib.asynccontextmanager
async def running_engine() -> AsyncIterator[FakeEngine]:
    engine = FakeEngine()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", engine.serve)
    app.router.add_post("/v1/completions", engine.serve)
    app.router.add_get("/health", _healthy)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield engine
    finally:
        engine.release.set()
        await runner.cleanup()


@dataclass
class SimulatedEngine:
    """A simulated engine as a process of its own; its faults are the test's."""

    url: str

    def set_faults(self, **faults: object) -> None:
        body = json.dumps(faults).encode()
        request = urllib.request.Request(self.url + "/simulated/faults", data=body, method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            pass


@pytest.fixture(scope="session")
def simulated_process(tmp_path_factory: pytest.TempPathFactory, tools: Any) -> Iterator[SimulatedEngine]:
    folder = tmp_path_factory.mktemp("simulated")
    (folder / "simulated.json").write_text("{}")
    engine = SimulatedEngine(f"http://127.0.0.1:{tools.free_port()}")
    command = [sys.executable, "-m", "serving.engine", "--engine", "simulated", "--model", str(folder)]
    command += ["--model-name", tools.model, "--port", engine.url.rpartition(":")[2]]
    with (folder / "engine.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + tools.deadline_seconds
        while time.monotonic() < deadline:
            assert process.poll() is None, (folder / "engine.log").read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(engine.url + "/health", timeout=5):
                break
            time.sleep(0.02)
        yield engine
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def simulated(simulated_process: SimulatedEngine) -> Iterator[SimulatedEngine]:
    """The shared simulated engine, without faults before and after each test."""
    simulated_process.set_faults()
    yield simulated_process
    simulated_process.set_faults()


async def _healthy(_: web.Request) -> web.Response:
    return web.Response()


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with running_engine() as found:
        yield found


@pytest.fixture
async def second_engine() -> AsyncIterator[FakeEngine]:
    async with running_engine() as found:
        yield found


@dataclass
class Gateway:
    """A gateway process and how to speak with it."""

    process: subprocess.Popen[bytes]
    url: str
    admin_url: str
    log_path: Path
    session: aiohttp.ClientSession
    tools: Any
    epoch: int = 1
    """Of the table that the test's fixture pushed; the process is shared, so a test counts under its own epoch."""

    async def admin(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {self.tools.admin_key}"}
        data = None if body is None else msgspec.json.encode(body)
        async with self.session.request(method, self.admin_url + path, data=data, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def push(self, table: RoutingTable) -> tuple[int, Any]:
        return await self.admin("PUT", f"/admin/routes/{table.tier}", table)

    async def counters(self) -> CounterSnapshot:
        _, raw = await self.admin("GET", "/admin/counters")
        return msgspec.convert(raw, CounterSnapshot)

    async def cells(self) -> list[CounterCell]:
        return [cell for cell in (await self.counters()).cells if cell.epoch >= self.epoch]

    async def bad(self) -> dict[str, int]:
        """Bad events over all cells since the fixture's epoch, once every assigned request is over."""

        async def over() -> list[list[CounterCell]]:
            cells = await self.cells()
            return [cells] if all(cell.assigned == cell.finished for cell in cells) else []

        (cells,) = await self.tools.until(over, "all requests are over")
        found: dict[str, int] = {}
        for cell in cells:
            for event, count in cell.bad.items():
                found[event.value] = found.get(event.value, 0) + count
        return found

    async def metric(self, sample: str) -> float:
        """The value of one sample, named with its labels; 0 if it is not there."""
        _, text = await self.get("/api/v1/metrics")
        values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(sample + " ")]
        return float(values[0]) if values else 0.0

    async def post(self, path: str, body: Any, **more: Any) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body: decoded where it is JSON."""
        async with self.session.post(self.url + path, json=body, **more) as answer:
            raw = await answer.read()
            is_json = answer.content_type == "application/json"
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, json.loads(raw) if is_json else raw

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        async with self.session.get(self.url + path, **more) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if answer.content_type == "application/json" else raw.decode()

    async def chat(self, **more: Any) -> tuple[int, dict[str, str], Any]:
        return await self.post("/v1/chat/completions", self.tools.chat_body(**more))

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_bytes().splitlines() if line.startswith(b"{")]


@dataclass
class Launcher:
    """Starts gateways in a folder of its own, and ends them."""

    folder: Path
    tools: Any
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    sessions: list[aiohttp.ClientSession] = field(default_factory=list)

    def command(self, config: ServingConfig, name: str, port: int, admin_port: int, *more: str) -> list[str]:
        config_path = self.folder / f"{name}.serving.json"
        config_path.write_bytes(msgspec.json.encode(config))
        secrets = self.folder / "secrets.json"
        held = {"admin_key": self.tools.admin_key, "synthetic_token": self.tools.synthetic_token, "more": 1}
        secrets.write_text(json.dumps(held))
        arguments = {
            "--config": config_path,
            "--worker": name,
            "--host": "127.0.0.1",
            "--port": port,
            "--admin-port": admin_port,
            "--state-dir": self.folder / "state" / name,
            "--secrets-file": secrets,
        }
        flat = [str(part) for pair in arguments.items() for part in pair]
        return [sys.executable, "-m", "serving.gateway", *flat, *more]

    def spawn(
        self, config: ServingConfig, *more: str, name: str = "gateway-0", port: int = 0, admin_port: int = 0
    ) -> tuple[subprocess.Popen[bytes], str, str, Path]:
        """Process, public URL, admin URL, log; once it listens."""
        port, admin_port = port or self.tools.free_port(), admin_port or self.tools.free_port()
        log_path = self.folder / f"{name}.log"
        with log_path.open("ab") as log:
            command = self.command(config, name, port, admin_port, *more)
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.started.append(process)
        admin_url = f"http://127.0.0.1:{admin_port}"
        deadline = time.monotonic() + self.tools.deadline_seconds
        while time.monotonic() < deadline:
            assert process.poll() is None, log_path.read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(admin_url + "/healthz", timeout=5):
                return process, f"http://127.0.0.1:{port}", admin_url, log_path
            time.sleep(0.02)
        raise AssertionError(f"the gateway does not listen: {log_path.read_text()}")

    async def start(self, config: ServingConfig | None = None, *more: str, **ports: Any) -> Gateway:
        parts = await asyncio.to_thread(self.spawn, config or self.tools.config(), *more, **ports)
        return Gateway(*parts, self.session(), self.tools)

    def session(self) -> aiohttp.ClientSession:
        self.sessions.append(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.tools.deadline_seconds)))
        return self.sessions[-1]

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
async def launcher(tmp_path: Path, tools: Any) -> AsyncIterator[Launcher]:
    found = Launcher(tmp_path, tools)
    try:
        yield found
    finally:
        for session in found.sessions:
            await session.close()
        found.end()


@pytest.fixture(scope="session")
def shared_process(tmp_path_factory: pytest.TempPathFactory, tools: Any) -> Iterator[tuple[Any, ...]]:
    """One gateway process for all tests that do not need one of their own, and numbers for their epochs."""
    found = Launcher(tmp_path_factory.mktemp("gateway"), tools)
    try:
        yield (*found.spawn(tools.config()), itertools.count(100, 100))
    finally:
        found.end()


@pytest.fixture
async def gateway(shared_process: tuple[Any, ...], launcher: Launcher, engine: FakeEngine) -> Gateway:
    """The shared worker in front of the test's own engine, with one stable release."""
    process, url, admin_url, log_path, epochs = shared_process
    found = Gateway(process, url, admin_url, log_path, launcher.session(), launcher.tools, next(epochs))
    status, _ = await found.push(launcher.tools.table(engine.url, epoch=found.epoch))
    assert status == 200
    return found


@pytest.fixture
async def own_gateway(launcher: Launcher, engine: FakeEngine) -> Gateway:
    """A worker of the test's own in front of its engine, with one stable release of epoch 1."""
    found = await launcher.start()
    status, _ = await found.push(launcher.tools.table(engine.url))
    assert status == 200
    return found
