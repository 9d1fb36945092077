"""The few moves of ASGI that the endpoints are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.engine.simulated.errors import api_error, detail

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES_MAX = 16 << 20
JSON = (b"content-type", b"application/json")
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")


async def start(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    """The head of an answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def answer(
    send: Send,
    status: int,
    body: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
    content_type: bytes | None = b"application/json",
) -> None:
    """A whole answer, JSON unless said otherwise."""
    own = [(b"content-length", b"%d" % len(body))]
    if content_type is not None:
        own.append((b"content-type", content_type))
    await start(send, status, own + (headers or []))
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises ApiError (413) if it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise detail(400, "The client left")
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise api_error(413, f"the body exceeds {BODY_BYTES_MAX} bytes", "RequestEntityTooLarge")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def disconnected(receive: Receive) -> None:
    """Returns once the client has left, or has its answer."""
    while (await receive())["type"] != "http.disconnect":
        pass


def header(scope: Scope, name: bytes) -> str:
    """A request's header, empty if it has none of that name (lower case)."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""
