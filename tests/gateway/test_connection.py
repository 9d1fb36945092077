"""What a public port must bear: heads that do not end, or not in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from serving.gateway.connection import Connection

pytestmark = pytest.mark.server


class HastyConnection(Connection):
    head_seconds_max = 0.3
    head_bytes_max = 5_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port(tools: Any) -> AsyncIterator[int]:
    found = tools.free_port()
    config = uvicorn.Config(app, port=found, http=HastyConnection, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await tools.until(lambda: server.started, "the server listens")
    yield found
    server.should_exit = True
    await running


async def answered(port: int, *parts: bytes) -> bytes:
    """What comes back until the server closes; parts are sent in turns with what was answered so far."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(30):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    finally:
        writer.close()


GOOD = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "answers"),
    [(b"", 0), (b"GET / HTT", 0), (b"GET / HTTP/1.1\r\nhost: x\r\n", 0), (GOOD + b"GET / HTTP/1.1\r\nho", 1)],
)
async def test_a_head_that_does_not_come_in_time_ends_the_connection(port: int, head: bytes, answers: int) -> None:
    assert (await answered(port, head)).count(b"200 OK") == answers


async def test_a_head_without_end_is_refused(port: int) -> None:
    lines = [b"x-%d: %s\r\n" % (i, b"y" * 500) for i in range(40)]
    try:
        answer = await answered(port, b"GET / HTTP/1.1\r\n", *lines)
    except ConnectionResetError:
        return  # the refusal was overtaken by the reset that follows on unread bytes
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_connection_may_rest_between_requests_longer_than_a_head_may_take(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(GOOD)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.5)  # longer than HastyConnection gives a head
    writer.close()
