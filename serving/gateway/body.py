"""Reading a request's body: bounded in size and in time."""

from __future__ import annotations

import asyncio

from serving.contract import LimitsConfig
from serving.gateway.asgi import Receive, Scope, header
from serving.gateway.errors import Problem

DISCARDED_BODIES_MAX = 8
"""How many times the limit is read and thrown away, so that a client that still sends gets to read the refusal."""


class ClientLeft(Exception):
    """The connection was closed before the answer was complete."""


async def read_body(scope: Scope, receive: Receive, limits: LimitsConfig) -> bytes:
    """The whole body, in bounded time. Raises Problem 413 (too large), 408 (too slow), ClientLeft."""
    try:
        async with asyncio.timeout(limits.body_read_timeout_seconds):
            return await collect_body(receive, header(scope, b"content-length"), limits)
    except TimeoutError as e:
        raise too_slow(limits) from e


async def collect_body(receive: Receive, declared: str | None, limits: LimitsConfig) -> bytes:
    """The whole body, however long it takes. Raises Problem 413 (too large), ClientLeft."""
    if declared is not None and int(declared) > limits.body_bytes_max:
        await _discard(receive, int(declared), limits.body_bytes_max)
        raise _too_large(limits.body_bytes_max)
    return await _collect(receive, limits.body_bytes_max)


def too_slow(limits: LimitsConfig) -> Problem:
    message = f"the body did not arrive within {limits.body_read_timeout_seconds:g} s"
    return Problem(408, "body_too_slow", message, limit="body_read_timeout_seconds", close=True)


async def _collect(receive: Receive, bytes_max: int) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > bytes_max:
            await _discard(receive, None, bytes_max)
            raise _too_large(bytes_max)
    return b"".join(parts)


async def _discard(receive: Receive, declared: int | None, bytes_max: int) -> None:
    bound = DISCARDED_BODIES_MAX * bytes_max
    if declared is not None and declared > bound:
        return
    size = 0
    while size <= bound:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        size += len(message.get("body", b""))


def _too_large(bytes_max: int) -> Problem:
    message = f"the body is larger than {bytes_max} bytes"
    return Problem(413, "body_too_large", message, limit="body_bytes_max", close=True)
