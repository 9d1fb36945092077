"""uvicorn's HTTP connection, with what a public port needs beside it.

- The gateway is told at once that a client left. ASGI's own way is to wait in ``receive``, which takes a task per
  request; this is a call.
- A request's head is bounded in size and in time; uvicorn waits for ever, for any number of headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.gateway.asgi import Scope

_KEY = "gateway.connection"


class Connection(HttpToolsProtocol):
    """One client's connection."""

    head_seconds_max: ClassVar[float] = 10.0
    """How long a client may take until its request line and headers are here."""
    head_bytes_max: ClassVar[int] = 65_536
    """As much as common proxies take."""

    _on_left: Callable[[], None] | None = None
    _head_timer: asyncio.TimerHandle | None = None
    _in_head = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > self.head_bytes_max:
            self.send_400_response(f"The head of a request has at most {self.head_bytes_max} bytes.")
        elif self._head_timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        # The scope is handed to a task by what follows; that task starts only after this call has returned.
        self.scope[_KEY] = self  # type: ignore[literal-required]
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._head_timer is not None:
            self._head_timer.cancel()
        if self._on_left is not None:
            self._on_left()
            self._on_left = None

    @property
    def body_is_here(self) -> bool:
        """The request that is being served has come whole."""
        return not self.cycle.more_body

    def watch(self, on_left: Callable[[], None] | None) -> None:
        """Calls ``on_left`` once if the connection ends; None ends the watch. The body must have been read."""
        self._on_left = on_left
        if on_left is not None:
            # A connection whose reading is paused (the body was long) would not notice that its client left.
            self.flow.resume_reading()
            if self.transport.is_closing():
                on_left()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds_max, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()


def connection_of(scope: Scope) -> Connection:
    """The connection that a request came on. Raises KeyError where the server is not this gateway's."""
    found: Connection = scope[_KEY]
    return found
