"""Bad input, slow and leaving clients, hanging engines, full queues: a real gateway in front of a fake engine."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import msgspec
import pytest

from serving.contract import ClassConfig

pytestmark = pytest.mark.server


async def raw_exchange(url: str, head: str, *parts: bytes) -> bytes:
    """Sends bytes as they are, one after the other, and reads until the gateway closes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.encode().replace(b"\n", b"\r\n"))
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{not json", 400, "invalid_json"),
        (b"[1, 2]", 400, "invalid_json"),
        (b"\xff\xfe\x00", 400, "invalid_json"),
        (b'{"model": "gpt-4", "messages": [{"role": "user", "content": "secret words"}]}', 404, "model_not_found"),
        (b'{"max_tokens": 9999, "messages": [{"content": "secret words"}]}', 400, "output_tokens_exceeded"),
        (b'{"messages": [{"content": "' + b"x" * 30_000 + b'"}]}', 400, "prompt_too_long"),
        (b'{"messages": [{"content": "' + b"x" * 200_000 + b'"}]}', 413, "body_too_large"),
    ],
)
async def test_bad_bodies_are_answered_in_openais_shape_and_reach_no_engine(
    gateway: Any, engine: Any, body: bytes, status: int, code: str
) -> None:
    async with gateway.session.post(gateway.url + "/v1/chat/completions", data=body) as answer:
        assert answer.status == status
        text = await answer.text()
    error = json.loads(text)["error"]
    assert error["code"] == code
    assert error["type"] == "invalid_request_error"
    assert "secret" not in text
    assert engine.requests == []
    assert await gateway.cells() == []


async def test_a_chunked_body_beyond_the_limit_is_refused_too(gateway: Any) -> None:
    async def parts() -> Any:
        for _ in range(40):
            yield b"x" * 10_000

    async with gateway.session.post(gateway.url + "/v1/chat/completions", data=parts()) as answer:
        assert answer.status == 413
        assert (await answer.json())["error"]["limit"] == "body_bytes_max"


async def test_a_huge_declared_body_is_refused_before_it_is_sent(gateway: Any) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\nhost: x\ncontent-length: 999999999999\n\n"
    assert (await raw_exchange(gateway.url, head)).startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_is_slow_to_arrive_is_answered_408(launcher: Any, tools: Any) -> None:
    gateway = await launcher.start(tools.config(body_read_timeout_seconds=0.3))
    head = "POST /v1/chat/completions HTTP/1.1\nhost: x\ncontent-length: 100\n\n"
    answer = await raw_exchange(gateway.url, head, b'{"model"')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"limit":"body_read_timeout_seconds"' in answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/v1/karaoke", 404),
        ("GET", "/", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/api/v1/health", 405),
        ("GET", "/v1/models/gpt-4", 404),
        ("POST", "/api/v1/../../etc/passwd", 404),
    ],
)
async def test_unknown_paths_and_methods(gateway: Any, method: str, path: str, status: int) -> None:
    async with gateway.session.request(method, gateway.url + path) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["message"]
        assert answer.headers["x-request-id"]


async def test_without_a_release_the_answer_is_503(launcher: Any, tools: Any) -> None:
    gateway = await launcher.start()
    status, headers, body = await gateway.chat()
    assert (status, body["error"]["code"], headers["retry-after"]) == (503, "no_release", "5")
    assert (await gateway.get("/api/v1/health"))[0] == 503
    status, _, body = await gateway.post("/api/v1/generate", {"prompt": "x"})
    assert (status, body["error"]["code"]) == (503, "no_release")


def hasty(tools: Any, timeout_seconds: float) -> Any:
    classes = dict.fromkeys(("generation", "completion", "query"), ClassConfig(0.1, timeout_seconds, 0.1, 0.1))
    return msgspec.structs.replace(tools.config(), classes=classes)


async def test_an_engine_that_hangs_is_over_target_at_once_and_unanswered_in_the_end(
    launcher: Any, engine: Any, tools: Any
) -> None:
    gateway = await launcher.start(hasty(tools, 3.0))
    await gateway.push(tools.table(engine.url))
    engine.behaviour = "hang"
    running = asyncio.create_task(gateway.chat())

    async def counted() -> Any:
        cells = (await gateway.cells())
        return [cell for cell in cells if cell.bad and not cell.finished]

    await tools.until(counted, "it is over target while it hangs")
    status, headers, body = await running
    assert (status, body["error"]["code"], headers["x-release"]) == (504, "timeout", "r1")
    assert await gateway.bad() == {"over_target": 1, "unanswered": 1}
    await tools.until(lambda: engine.cancelled == 1, "the engine sees the cancel")


async def test_an_engine_that_hangs_in_mid_stream(launcher: Any, engine: Any, tools: Any) -> None:
    gateway = await launcher.start(hasty(tools, 0.5))
    await gateway.push(tools.table(engine.url))
    engine.behaviour = "hang_in_stream"
    status, _, raw = await gateway.chat(stream=True)
    assert status == 200
    assert b"[DONE]" not in raw
    assert b'"code":"timeout"' in raw
    assert await gateway.bad() == {"over_target": 1, "unanswered": 1}


@pytest.mark.parametrize(("behaviour", "stream"), [("hang", False), ("hang_in_stream", True)])
async def test_a_client_that_leaves_cancels_its_request_upstream(
    gateway: Any, engine: Any, tools: Any, behaviour: str, stream: bool
) -> None:
    engine.behaviour = behaviour
    request = gateway.session.post(gateway.url + "/v1/chat/completions", json=tools.chat_body(stream=stream))
    if stream:
        async with request as answer:
            await answer.content.readuntil(b"Hello")
            answer.close()
    else:
        running = asyncio.create_task(request.__aenter__())
        await tools.until(lambda: engine.requests, "the engine has the request")
        running.cancel()
    await tools.until(lambda: engine.cancelled == 1, "the engine sees the cancel")
    assert await gateway.bad() == {"abandoned": 1}
    assert await gateway.metric("gateway_requests_in_flight") == 0


async def test_a_full_gateway_queues_then_refuses_and_loses_no_slot(launcher: Any, engine: Any, tools: Any) -> None:
    config = tools.config(in_flight_max=1, queue_max=1, queue_timeout_seconds=20.0)
    gateway = await launcher.start(config)
    await gateway.push(tools.table(engine.url))
    engine.behaviour = "hang"
    first = asyncio.create_task(gateway.chat())
    await tools.until(lambda: engine.requests, "the engine has the first")
    second = asyncio.create_task(gateway.chat())

    async def queued() -> bool:
        return bool((await gateway.admin("GET", "/admin/health"))[1]["queued"] == 1)

    await tools.until(queued, "the second waits")
    status, headers, body = await gateway.chat()
    assert (status, body["error"]["limit"], headers["retry-after"]) == (429, "queue_max", "1")
    engine.release.set()
    assert [(await first)[0], (await second)[0]] == [200, 200]
    assert (await gateway.admin("GET", "/admin/health"))[1]["in_flight"] == 0
    assert sum(cell.assigned for cell in (await gateway.cells())) == 2


async def test_a_queue_that_is_too_slow_answers_503_and_one_who_leaves_it_frees_its_place(
    launcher: Any, engine: Any, tools: Any
) -> None:
    config = tools.config(in_flight_max=1, queue_max=1, queue_timeout_seconds=0.5)
    gateway = await launcher.start(config)
    await gateway.push(tools.table(engine.url))
    engine.behaviour = "hang"
    first = asyncio.create_task(gateway.chat())
    await tools.until(lambda: engine.requests, "the engine has the first")
    status, headers, body = await gateway.chat()
    assert (status, body["error"]["limit"], headers["retry-after"]) == (503, "queue_timeout_seconds", "1")
    with pytest.raises(TimeoutError):
        await gateway.post("/v1/chat/completions", tools.chat_body(), timeout=aiohttp.ClientTimeout(total=0.1))

    async def empty() -> bool:
        return bool((await gateway.admin("GET", "/admin/health"))[1]["queued"] == 0)

    await tools.until(empty, "the queue is empty")
    engine.release.set()
    assert (await first)[0] == 200
    assert (await gateway.chat())[0] == 200


async def test_no_slot_is_lost_when_many_clients_leave_at_random(launcher: Any, engine: Any, tools: Any) -> None:
    gateway = await launcher.start(tools.config(in_flight_max=4, queue_max=64, queue_timeout_seconds=20.0))
    await gateway.push(tools.table(engine.url))
    engine.event_gap_seconds = 0.01

    async def leaving(i: int) -> None:
        timeout = aiohttp.ClientTimeout(total=0.005 * (i % 13) + 0.002)
        try:
            await gateway.post("/v1/chat/completions", tools.chat_body(stream=bool(i % 2)), timeout=timeout)
        except (TimeoutError, aiohttp.ClientError):
            return

    await asyncio.gather(*(leaving(i) for i in range(120)))

    async def idle() -> bool:
        health = (await gateway.admin("GET", "/admin/health"))[1]
        return bool(health["in_flight"] == 0 == health["queued"])

    await tools.until(idle, "every slot is free")
    assert (await gateway.chat())[0] == 200
    cells = (await gateway.cells())
    assert all(cell.assigned == cell.finished for cell in cells)
