"""A fake engine (a real server that misbehaves on request) and gateways as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from serving.contract import (
    Arm,
    ClassConfig,
    CounterSnapshot,
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

DEADLINE_SECONDS = 30.0
ADMIN_KEY = "admin-key-of-the-tests"
SYNTHETIC_TOKEN = "synthetic-token-of-the-tests"
MODEL = "gratefulgpt-7b"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for a condition, sync or async, with a bound."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {DEADLINE_SECONDS} s: {what}")


@dataclass
class FakeEngine:
    """Answers as an engine does; ``behaviour`` says how it fails."""

    url: str = ""
    behaviour: str = "good"
    answer: str = "Hello from the engine"
    finish_reason: str = "stop"
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
            choice["message"] = {"role": "assistant", "content": content}
        else:
            choice["text"] = content
        usage = {"prompt_tokens": 7, "total_tokens": 12, "completion_tokens": 5}
        answer = {
            "id": "cmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked.get("model"),
            "choices": [choice],
            "usage": usage,
        }
        return json.dumps(answer).encode()

    async def _stream(self, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        words = [] if self.behaviour == "empty" else self.answer.split()
        await self._event(response, asked, {"role": "assistant", "content": ""}, None)
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
        if (asked.get("stream_options") or {}).get("include_usage"):
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


def make_config(**limits: Any) -> ServingConfig:
    bounds = {
        "body_bytes_max": 100_000,
        "body_read_timeout_seconds": 10.0,
        "prompt_chars_max": 20_000,
        "in_flight_max": 64,
        "queue_max": 8,
        "queue_timeout_seconds": 5.0,
        "connect_timeout_seconds": 2.0,
        "attempts_max": 2,
        "drain_timeout_seconds": 20.0,
        "epochs_kept_max": 4,
    }
    own = {
        "generate": ("/api/v1/generate", TaskKind.TEXT, "generation", 512),
        "chat": ("/api/v1/chat", TaskKind.TEXT, "generation", 512),
        "history-query": ("/api/v1/history/query", TaskKind.STRUCTURED, "query", 64),
    }
    openai = {
        "openai-chat": ("/v1/chat/completions", TaskKind.OPENAI_CHAT, "generation", 512),
        "openai-completion": ("/v1/completions", TaskKind.OPENAI_COMPLETION, "completion", 192),
    }
    tasks = tuple(
        TaskConfig(name, path, kind, task_class, cap, "production")
        for name, (path, kind, task_class, cap) in {**openai, **own}.items()
    )
    return ServingConfig(
        service="gratefulgpt",
        spec_digest="0" * 64,
        tiers={"production": TierConfig(MODEL, 8192), "edge": TierConfig("gratefulgpt-1.3b", 4096)},
        tasks=tasks,
        classes={
            "generation": ClassConfig(2.0, 30.0),
            "completion": ClassConfig(1.0, 15.0),
            "query": ClassConfig(0.5, 10.0),
        },
        strata=StrataConfig((512, 4096), (32, 128)),
        limits=LimitsConfig(**{**bounds, **limits}),
        latency_bounds_seconds=(0.1, 0.5, 1.0, 2.0, 10.0),
        first_token_bounds_seconds=(0.1, 0.5, 1.0),
    )


def make_table(
    stable: str | list[str],
    *,
    canary: str | None = None,
    weight: int = 0,
    epoch: int = 1,
    tier: str = "production",
    **more: Any,
) -> RoutingTable:
    """A table with ``weight`` basis points on a canary."""
    urls = [stable] if isinstance(stable, str) else stable
    endpoints = tuple(Endpoint(f"stable-{i}", url) for i, url in enumerate(urls))
    routes = [Route(Arm.STABLE, "r1", 10_000 - weight, endpoints, "v1")]
    if canary is not None:
        routes.append(Route(Arm.CANARY, "r2", weight, (Endpoint("canary-0", canary),), "v1"))
        more.setdefault("lease_seconds", 60.0)
    return RoutingTable(tier=tier, epoch=epoch, routes=tuple(routes), **more)


@dataclass
class Gateway:
    """A gateway process and how to speak with it."""

    process: subprocess.Popen[bytes]
    url: str
    admin_url: str
    log_path: Path
    session: aiohttp.ClientSession

    async def admin(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        data = None if body is None else msgspec.json.encode(body)
        async with self.session.request(method, self.admin_url + path, data=data, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def push(self, table: RoutingTable) -> tuple[int, Any]:
        return await self.admin("PUT", f"/admin/routes/{table.tier}", table)

    async def counters(self) -> CounterSnapshot:
        _, raw = await self.admin("GET", "/admin/counters")
        return msgspec.convert(raw, CounterSnapshot)

    async def bad(self, arm: Arm = Arm.STABLE) -> dict[str, int]:
        """Bad events of an arm over all cells, once every assigned request is over."""

        async def over() -> CounterSnapshot | None:
            snapshot = await self.counters()
            cells = [cell for cell in snapshot.cells if cell.arm is arm]
            return snapshot if all(cell.assigned == cell.finished for cell in cells) else None

        snapshot = await until(over, "all requests are over")
        found: dict[str, int] = {}
        for cell in snapshot.cells:
            if cell.arm is arm:
                for event, count in cell.bad.items():
                    found[event.value] = found.get(event.value, 0) + count
        return found

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
        return await self.post("/v1/chat/completions", chat_body(**more))

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_bytes().splitlines() if line.startswith(b"{")]


def chat_body(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "Tell me of Dark Star"}], "max_tokens": 16, **more}


@dataclass
class Launcher:
    """Starts gateways in a folder of its own, and ends them."""

    folder: Path
    session: aiohttp.ClientSession
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, config: ServingConfig, name: str, port: int, admin_port: int, *more: str) -> list[str]:
        config_path = self.folder / f"{name}.serving.json"
        config_path.write_bytes(msgspec.json.encode(config))
        secrets = self.folder / "secrets.json"
        secrets.write_text(json.dumps({"admin_key": ADMIN_KEY, "synthetic_token": SYNTHETIC_TOKEN, "other": 1}))
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

    async def start(
        self, config: ServingConfig | None = None, *more: str, name: str = "gateway-0", port: int = 0
    ) -> Gateway:
        port, admin_port = port or free_port(), free_port()
        log_path = self.folder / f"{name}.log"
        command = self.command(config or make_config(), name, port, admin_port, *more)
        process = self._spawn(command, log_path)
        gateway = Gateway(
            process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}", log_path, self.session
        )

        async def listens() -> bool:
            assert process.poll() is None, log_path.read_text()
            with contextlib.suppress(aiohttp.ClientError):
                async with self.session.get(gateway.admin_url + "/healthz") as answer:
                    return answer.status == 200
            return False

        await until(listens, "the gateway listens")
        return gateway

    def _spawn(self, command: list[str], log_path: Path) -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as found:
        yield found


@pytest.fixture
async def launcher(tmp_path: Path, session: aiohttp.ClientSession) -> AsyncIterator[Launcher]:
    found = Launcher(tmp_path, session)
    try:
        yield found
    finally:
        found.end()


@pytest.fixture
async def gateway(launcher: Launcher, engine: FakeEngine) -> Gateway:
    """One worker in front of one engine, with one stable release."""
    found = await launcher.start()
    status, _ = await found.push(make_table(engine.url))
    assert status == 200
    return found


@pytest.fixture
def tools() -> Any:
    """The functions that tests share (modules of tests are not imported by each other)."""

    class Tools:
        config = staticmethod(make_config)
        table = staticmethod(make_table)
        until = staticmethod(until)
        free_port = staticmethod(free_port)
        chat_body = staticmethod(chat_body)
        admin_key = ADMIN_KEY
        synthetic_token = SYNTHETIC_TOKEN
        model = MODEL

    return Tools
