"""One structured line per request, without its content; written in the background, so that no pipe stalls a request."""

from __future__ import annotations

import asyncio
from typing import BinaryIO

import msgspec

from serving.gateway.exchange import Exchange

LINES_HELD_MAX = 20_000
"""Lines that wait for a reader that does not read; those beyond are dropped, and counted."""


class RequestLog:
    """Lines wait in memory until ``write`` is called."""

    def __init__(self, worker: str, stream: BinaryIO) -> None:
        self._worker = worker
        self._stream = stream
        self._lines: list[bytes] = []
        self.dropped = 0

    def add(self, exchange: Exchange, at_unix_seconds: float, seconds: float) -> None:
        first = exchange.first_content_at
        self._add(
            {
                "at": at_unix_seconds,
                "event": "request",
                "worker": self._worker,
                "request_id": exchange.request_id,
                "task": exchange.task.name,
                "tier": exchange.tier,
                "arm": exchange.arm,
                "release": exchange.release,
                "epoch": exchange.epoch,
                "status": exchange.status,
                "seconds": round(seconds, 6),
                "first_token_seconds": None if first is None else round(first - exchange.arrived, 6),
                "streamed": exchange.streamed,
                "synthetic": exchange.synthetic,
                "stopped": exchange.stopped,
                "bad": exchange.events,
                "usage": exchange.usage,
            }
        )

    def event(self, at_unix_seconds: float, event: str, **fields: object) -> None:
        """A line about the worker itself."""
        self._add({"at": at_unix_seconds, "event": event, "worker": self._worker, **fields})

    def _add(self, line: dict[str, object]) -> None:
        if len(self._lines) >= LINES_HELD_MAX:
            self.dropped += 1
            return
        self._lines.append(msgspec.json.encode(line))

    async def write(self) -> None:
        """Writes what waits. Never to be called twice at once."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        lines.append(b"")
        await asyncio.to_thread(self._write, b"\n".join(lines))

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._stream.flush()
