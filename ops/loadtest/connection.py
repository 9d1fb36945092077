"""One HTTP/1.1 connection of the load generator: a request at a time, parsed by llhttp, timed by the loop's clock.

Cheaper than a general client because it does less: no redirects, no cookies, no decompression, no pool. What HTTP
asks of a client it keeps: chunked bodies, keep-alive and its end, interim answers, time-outs, TLS by the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Protocol

import httptools


class Failure(StrEnum):
    """Why a request has no whole answer."""

    CONNECT = "connect"
    """No connection: refused, unreachable, out of time."""
    CLOSED = "closed"
    """The server closed the connection before the answer's end."""
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    """What came was no HTTP/1.1."""
    STOPPED = "stopped"
    """The run ended while the request was under way."""


@dataclass(slots=True)
class Exchange:
    """What came of one request. Times in seconds of ``time.perf_counter``."""

    sent: float
    status: int = 0
    first_byte: float = 0.0
    ended: float = 0.0
    failure: Failure | None = None


class Body(Protocol):
    """Takes an answer's body as it comes."""

    def feed(self, data: bytes, at: float) -> None: ...


Done = Callable[["Connection", Exchange], None]
Lost = Callable[["Connection"], None]
HEAD_BYTES_MAX = 1 << 18


class Connection(asyncio.Protocol):
    """``done`` is called once for each request that was sent, whatever became of it; ``lost`` once, at the end."""

    __slots__ = (
        "_body", "_done", "_exchange", "_head", "_in_head", "_lost", "_parser", "_received", "_transport", "closed",
    )  # fmt: skip

    def __init__(self, lost: Lost | None = None) -> None:
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._done: Done | None = None
        self._body: Body | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0.0
        self._in_head = False
        self._head = b""
        """The answer up to the end of its headers, and what came with it: looked at only if the connection ends."""
        self.closed = False

    @property
    def idle(self) -> bool:
        return self._exchange is None and not self.closed

    def send(self, request: bytes, done: Done, body: Body | None = None) -> None:
        """Sends the whole request. The connection must be idle."""
        if self._transport is None or not self.idle:
            raise RuntimeError("the connection is not idle")
        self._exchange, self._done, self._body = Exchange(perf_counter()), done, body
        self._head, self._in_head = b"", True
        self._transport.write(request)

    def abort(self, failure: Failure) -> None:
        """Ends the request under way, and the connection with it."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        self._finish(failure)

    # --- what asyncio calls -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._received = perf_counter()
        exchange = self._exchange
        if exchange is None:  # nothing was asked: whatever this is, the connection cannot be trusted
            self.abort(Failure.PROTOCOL)
            return
        if not exchange.first_byte:
            exchange.first_byte = self._received
        if self._in_head:
            self._head += data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # the latter: nobody asked to change protocols
            self.abort(Failure.PROTOCOL)
        if self._in_head and len(self._head) > HEAD_BYTES_MAX:
            self.abort(Failure.PROTOCOL)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if error is None and self._exchange is not None and self._ends_with_connection():
            self._exchange.status = self._parser.get_status_code()
            self._finish(None)
        self._finish(Failure.CLOSED)
        if self._lost is not None:
            self._lost(self)

    def _ends_with_connection(self) -> bool:
        """Whether the answer has neither length nor chunks, so that the connection's end is its own (RFC 9112, 6.3)."""
        if self._in_head:
            return False
        rest = self._head.lower()
        while rest.startswith((b"http/1.1 1", b"http/1.0 1")):
            _, _, rest = rest.partition(b"\r\n\r\n")
        head, _, _ = rest.partition(b"\r\n\r\n")
        return b"\r\ncontent-length:" not in head and b"\r\ntransfer-encoding:" not in head

    # --- what the parser calls ----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Raises where an answer begins that came before its request went out: the server sent more than was asked."""
        if self._exchange is None or self._exchange.sent >= self._received:
            raise ValueError("an answer to no request")

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            self._in_head = False

    def on_body(self, data: bytes) -> None:
        if self._body is not None:
            self._body.feed(data, self._received)

    def on_message_complete(self) -> None:
        parser, exchange = self._parser, self._exchange
        status = parser.get_status_code()
        if exchange is None or status < 200:  # an interim answer: the real one follows
            return
        exchange.status = status
        if not parser.should_keep_alive():
            self.closed = True
            if self._transport is not None:
                self._transport.close()
        self._finish(None)

    def _finish(self, failure: Failure | None) -> None:
        exchange, done = self._exchange, self._done
        if exchange is None or done is None:
            return
        self._exchange = self._done = self._body = None
        self._head, self._in_head = b"", False
        exchange.failure = failure
        exchange.ended = self._received if failure is None else perf_counter()
        done(self, exchange)
