"""uvicorn's HTTP connection, with a way to be told at once that the client left.

ASGI's own way is to wait in ``receive``, which takes a task per request; this is a call.
"""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.gateway.asgi import Scope

_KEY = "gateway.connection"


class Connection(HttpToolsProtocol):
    """One client's connection."""

    _on_left: Callable[[], None] | None = None

    def on_headers_complete(self) -> None:
        # The scope is handed to a task by what follows; that task starts only after this call has returned.
        self.scope[_KEY] = self  # type: ignore[literal-required]
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
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


def connection_of(scope: Scope) -> Connection:
    """The connection that a request came on. Raises KeyError where the server is not this gateway's."""
    found: Connection = scope[_KEY]
    return found
