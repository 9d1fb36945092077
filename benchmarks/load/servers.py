"""What the generators are measured against: servers that do next to nothing, on one core, over raw connections.

``python -m benchmarks.load.servers answer|stream`` says its port on stdout, and at SIGTERM what it has done, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import sys
from array import array
from time import perf_counter

import numpy as np
import uvloop

BACKLOG = 4096
ANSWER = b'{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"%s"}}]}' % (b"word " * 50)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = (
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":"%s"},"logprobs":null,"finish_reason":null}]}\n\n'
)
LAST = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":%d}}\n\ndata: [DONE]\n\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Requests(asyncio.Protocol):
    """Finds requests' ends by their content-length: no parser, which would cost more than the rest."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            begin = self._rest.find(b"ontent-length: ", 0, end)
            stop = self._rest.find(b"\r\n", begin, end + 2)
            whole = end + 4 + (int(self._rest[begin + 15 : stop]) if begin >= 0 else 0)
            if len(self._rest) < whole:
                return
            self._rest = self._rest[whole:]
            self.server.requested(self.transport)


class Server:
    """Answers each request at once, or ``delay`` seconds later."""

    def __init__(self, delay_seconds: float) -> None:
        self.delay_seconds = delay_seconds
        self.requests = 0

    def requested(self, transport: asyncio.Transport) -> None:
        self.requests += 1
        if self.delay_seconds:
            asyncio.get_running_loop().call_later(self.delay_seconds, transport.write, HEAD + ANSWER)
        else:
            transport.write(HEAD + ANSWER)

    def summary(self) -> dict[str, object]:
        return {"requests": self.requests}


class StreamServer(Server):
    """Streams ``events`` events, the first after ``delay``, the next ``gap`` seconds apart, and notes when it did."""

    def __init__(self, delay_seconds: float, events: int, gap_seconds: float, tokens_per_event: int) -> None:
        super().__init__(delay_seconds)
        self.events, self.gap_seconds, self.tokens_per_event = events, gap_seconds, tokens_per_event
        self.sent = 0
        self.firsts, self.gaps = array("d"), array("d")
        self._event = chunk(EVENT % (b" word" * tokens_per_event))
        self._last = chunk(LAST % (events * tokens_per_event)) + b"0\r\n\r\n"

    def requested(self, transport: asyncio.Transport) -> None:
        self.requests += 1
        now = perf_counter()
        transport.write(STREAM_HEAD)
        asyncio.get_running_loop().call_later(self.delay_seconds, self._send, transport, now, now, self.events)

    def _send(self, transport: asyncio.Transport, began: float, before: float, left: int) -> None:
        now = perf_counter()
        if transport.is_closing():
            return
        if left == self.events:
            self.firsts.append(now - began)
        else:
            self.gaps.append(now - before)
        transport.write(self._event if left > 1 else self._event + self._last)
        self.sent += 1
        if left > 1:
            due = began + self.delay_seconds + (self.events - left + 1) * self.gap_seconds
            wait = max(0.0, due - perf_counter())
            asyncio.get_running_loop().call_later(wait, self._send, transport, began, now, left - 1)

    def summary(self) -> dict[str, object]:
        percents = [50, 95, 99]
        return {
            "requests": self.requests,
            "events": self.sent,
            "first_seconds": np.percentile(self.firsts or [0], percents).tolist(),
            "gap_seconds": np.percentile(self.gaps or [0], percents).tolist(),
        }


async def serve(server: Server) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    await loop.create_server(lambda: Requests(server), sock=listening, backlog=BACKLOG)
    print(listening.getsockname()[1], flush=True)
    await over.wait()
    print(json.dumps(server.summary()), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["answer", "stream"])
    parser.add_argument("--delay-seconds", type=float, default=0.0)
    parser.add_argument("--gap-seconds", type=float, default=0.01)
    parser.add_argument("--events", type=int, default=64)
    parser.add_argument("--tokens-per-event", type=int, default=1)
    given = parser.parse_args()
    server = (
        Server(given.delay_seconds)
        if given.role == "answer"
        else StreamServer(given.delay_seconds, given.events, given.gap_seconds, given.tokens_per_event)
    )
    uvloop.run(serve(server))
    return 0


if __name__ == "__main__":
    sys.exit(main())
