"""The prober against an HTTP server that behaves, and misbehaves in each way that a user would notice."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from ops.probing.asking import Target, Task, ask_round
from ops.probing.judging import Sample, judge
from ops.verdict import Outcome
from serving.contract import SYNTHETIC_HEADER

TOKEN = "a-synthetic-token"
SECRET_CONTENT = "words that must not be shown"
REQUEST = {"type": "object", "required": ["question"], "properties": {"question": {"type": "string"}}}
ANSWER = {
    "type": "object",
    "properties": {"output": {"type": "object", "required": ["answer"], "additionalProperties": False,
                              "properties": {"answer": {"type": "string"}}}},
}  # fmt: skip

Serve = Callable[..., Awaitable[Target]]


async def stream(request: web.Request, words: list[str], end: bool = True) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for word in words:
        await response.write(b"data: " + json.dumps({"choices": [{"delta": {"content": word}}]}).encode() + b"\n\n")
    if end:
        await response.write(b"data: [DONE]\n\n")
    return response


class Service:
    """Behaves; what ``faults`` names does not."""

    def __init__(self, faults: set[str]):
        self.faults = faults
        self.unmarked = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/v1/health", self.health)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/openapi.json", self.openapi)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/ask", self.ask)
        return app

    def _look(self, request: web.Request) -> None:
        self.unmarked += request.headers.get(SYNTHETIC_HEADER) != TOKEN

    async def health(self, request: web.Request) -> web.Response:
        self._look(request)
        if "health" in self.faults:
            return web.json_response({"error": {"code": "no_release", "message": SECRET_CONTENT}}, status=503)
        return web.json_response({})

    async def models(self, request: web.Request) -> web.Response:
        self._look(request)
        return web.json_response({"data": [] if "models" in self.faults else [{"id": "model"}]})

    async def openapi(self, request: web.Request) -> web.Response:
        if "openapi" in self.faults:
            return web.Response(text="not json")
        content = {"application/json": {"schema": REQUEST}}
        answer = {"200": {"content": {"application/json": {"schema": ANSWER}}}}
        operation = {"requestBody": {"content": content}, "responses": answer}
        return web.json_response({"paths": {"/ask": {"post": operation}}})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self._look(request)
        if "hang" in self.faults:
            await asyncio.sleep(60)
        if "chat-500" in self.faults:
            return web.Response(status=500, text=SECRET_CONTENT)
        return await stream(request, [] if "empty" in self.faults else ["a", "b"], "cut" not in self.faults)

    async def ask(self, request: web.Request) -> web.Response:
        self._look(request)
        assert (await request.json())["question"]
        if "invalid" in self.faults:
            return web.json_response({"output": {"other": SECRET_CONTENT}})
        return web.json_response({} if "no-output" in self.faults else {"output": {"answer": SECRET_CONTENT}})


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[tuple[Service, Target]]]]:
    runners = []

    async def start(*faults: str) -> tuple[Service, Target]:
        service = Service(set(faults))
        runner = web.AppRunner(service.app(), shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        chat, ask = Task("/v1/chat/completions", "generation", 3.0), Task("/ask", "query", 10.0)
        return service, Target(f"http://127.0.0.1:{port}", TOKEN, "model", chat, ask)

    yield start
    for runner in runners:
        await runner.cleanup()


async def ask(target: Target) -> dict[str, Sample]:
    async with aiohttp.ClientSession() as session:
        return {sample.probe: sample for sample in await ask_round(session, target)}


async def test_a_service_that_behaves_passes_and_every_request_is_marked(serve: Serve) -> None:
    service, target = await serve()
    samples = await ask(target)
    assert set(samples) == {"health", "models", "chat", "structured"}
    assert [sample.problem for sample in samples.values()] == [None] * 4
    assert judge(list(samples.values()), {"generation": 60.0, "query": 60.0}).outcome is Outcome.PASS
    assert service.unmarked == 0


@pytest.mark.parametrize(
    ("fault", "probe", "words"),
    [
        ("health", "health", "status 503 (no_release)"),
        ("models", "models", "the model model is not served"),
        ("chat-500", "chat", "status 500"),
        ("empty", "chat", "the answer is empty"),
        ("cut", "chat", "without its end mark"),
        ("hang", "chat", "no answer within 3 s"),
        ("invalid", "structured", "not of its schema"),
        ("no-output", "structured", "has no output"),
        ("openapi", "structured", "the answer is no JSON"),
    ],
)
async def test_what_a_user_would_notice_is_found_and_named_without_content(
    serve: Serve, fault: str, probe: str, words: str
) -> None:
    _, target = await serve(fault)
    samples = await ask(target)
    assert words in (samples[probe].problem or "")
    assert [name for name, sample in samples.items() if sample.problem] == [probe]
    verdict = judge(list(samples.values()), {})
    assert verdict.outcome is Outcome.FAIL
    assert SECRET_CONTENT not in json.dumps(verdict.to_json())


async def test_a_service_that_is_not_there_fails() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        samples = await ask(Target(url, TOKEN, "model", Task("/v1/chat/completions", "generation", 3.0), None))
    assert all("connection failed" in (sample.problem or "") for sample in samples.values())


async def test_a_host_that_cannot_be_resolved_is_the_probers_own_blindness() -> None:
    chat = Task("/v1/chat/completions", "generation", 3.0)
    target = Target("http://nowhere.invalid", TOKEN, "model", chat, None, plain_timeout_seconds=30.0)
    samples = await ask(target)
    assert samples["health"].blind
    assert judge([samples["health"]], {}).outcome is Outcome.INVALID
