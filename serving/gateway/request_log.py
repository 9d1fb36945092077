"""One structured line per request, without its content; written in the background, so that no pipe stalls a request."""

from __future__ import annotations

import asyncio
import traceback
from typing import BinaryIO

import msgspec

from serving.contract import Arm, BadEvent
from serving.gateway.exchange import Exchange, Stop
from serving.gateway.scanning import Usage

LINES_HELD_MAX = 20_000
"""Lines that wait for a reader that does not read; those beyond are dropped, and counted."""


class RequestLine(msgspec.Struct, frozen=True, gc=False, tag="request", tag_field="event"):
    """What the log tells of a request. ``epoch`` is -1 where no arm was assigned."""

    at: float
    worker: str
    request_id: str
    task: str
    tier: str
    arm: Arm | None
    release: str
    epoch: int
    status: int
    seconds: float
    first_token_seconds: float | None
    streamed: bool
    synthetic: bool
    stopped: Stop | None
    bad: list[BadEvent]
    usage: Usage | None


class RequestLog:
    """Lines wait in memory until ``write`` is called."""

    def __init__(self, worker: str, stream: BinaryIO) -> None:
        self._worker = worker
        self._stream = stream
        self._encode = msgspec.json.Encoder().encode
        self._lines: list[bytes] = []
        self.dropped = 0

    def add(self, exchange: Exchange, at_unix_seconds: float, seconds: float) -> None:
        first = exchange.first_content_at
        self._add(
            RequestLine(
                at_unix_seconds,
                self._worker,
                exchange.request_id,
                exchange.task.name,
                exchange.tier,
                exchange.arm,
                exchange.release,
                exchange.epoch,
                exchange.status,
                round(seconds, 6),
                None if first is None else round(first - exchange.arrived, 6),
                exchange.streamed,
                exchange.synthetic,
                exchange.stopped,
                exchange.events,
                exchange.usage,
            )
        )

    def event(self, at_unix_seconds: float, event: str, **fields: object) -> None:
        """A line about the worker itself."""
        self._add({"at": at_unix_seconds, "event": event, "worker": self._worker, **fields})

    def fault(self, at_unix_seconds: float, request_id: str, fault: Exception) -> None:
        """A fault of ours: its type and where it was raised; its words could hold a request's."""
        frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__)]
        self.event(at_unix_seconds, "fault", request_id=request_id, type=type(fault).__name__, frames=frames)

    def _add(self, line: RequestLine | dict[str, object]) -> None:
        if len(self._lines) >= LINES_HELD_MAX:
            self.dropped += 1
            return
        self._lines.append(self._encode(line))

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
