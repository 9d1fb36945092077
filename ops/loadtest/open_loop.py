"""Sends a bounded open-loop load to a service on this machine: ``python -m ops.loadtest.open_loop --help``.

A process of its own, so that what measures is not disturbed by what shows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import os
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import BinaryIO
from urllib.parse import urlsplit

import aiohttp
import msgspec

from ops.loadtest.arrivals import poisson
from ops.loadtest.requests import Mix, Request, draw
from ops.loadtest.samples import Sample
from serving.contract import ARM_HEADER, RELEASE_HEADER

RATE_MAX = 2000.0
SECONDS_MAX = 21_600.0
IN_FLIGHT_MAX = 2000
"""Beyond it a request is not sent, and says so with status 0."""
_TIMEOUT_SECONDS = 60.0
_FLUSH_SECONDS = 0.25
_END_MARK = b"data: [DONE]"


def main() -> int:
    parser = argparse.ArgumentParser(description="Open-loop Poisson load on a local service.")
    parser.add_argument("--url", required=True, help="base URL; loopback only")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rate", type=float, required=True, help=f"requests a second, at most {RATE_MAX:g}")
    parser.add_argument("--seconds", type=float, required=True, help=f"at most {SECONDS_MAX:g}")
    parser.add_argument("--output", type=Path, required=True, help="samples, a line of JSON each")
    parser.add_argument("--output-tokens", type=int, nargs="+", default=list(Mix.output_tokens))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not _is_loopback(options.url):
        parser.error("load goes to addresses of this machine alone")
    if not 0 < options.rate <= RATE_MAX or not 0 < options.seconds <= SECONDS_MAX:
        parser.error("rate or seconds out of bounds")
    mix = Mix(output_tokens=tuple(options.output_tokens))
    asyncio.run(_run(options.url, options.model, options.rate, options.seconds, mix, options.output, options.seed))
    return 0


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _run(url: str, model: str, rate: float, seconds: float, mix: Mix, output: Path, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - load, not secrets
    loop = asyncio.get_running_loop()
    stop, parent = asyncio.Event(), os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    running: set[asyncio.Task[None]] = set()
    with output.open("ab") as file:
        async with aiohttp.ClientSession(url, timeout=timeout, connector=connector) as session:
            sink = _Sink(file)
            started, started_unix = loop.time(), time.time()
            for due in poisson(rate, seconds, chance):
                wait = started + due - loop.time()
                if wait > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), wait)
                if stop.is_set() or os.getppid() != parent:  # whoever started it was killed: no load without an owner
                    break
                request = draw(model, mix, chance)
                if len(running) >= IN_FLIGHT_MAX:
                    sink.write(_unsent(started_unix + due, request))
                    continue
                task = loop.create_task(_send(session, request, started_unix + due, sink))
                running.add(task)
                task.add_done_callback(running.discard)
            if running:
                await asyncio.wait(running, timeout=_TIMEOUT_SECONDS)
            sink.flush()


class _Sink:
    """Writes whole lines, several at a time."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._lines: list[bytes] = []
        self._flushed = time.monotonic()

    def write(self, sample: Sample) -> None:
        self._lines.append(msgspec.json.encode(sample) + b"\n")
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        self._file.write(b"".join(self._lines))
        self._file.flush()
        self._lines.clear()
        self._flushed = time.monotonic()


def _unsent(at: float, request: Request) -> Sample:
    return Sample(at, 0.0, 0.0, None, 0, False, "", "", request.stream)


async def _send(session: aiohttp.ClientSession, request: Request, at: float, sink: _Sink) -> None:
    sent = time.time()
    first: float | None = None
    status, arm, release, complete = 0, "", "", False
    try:
        async with session.post(request.path, json=request.body) as response:
            status = response.status
            arm, release = response.headers.get(ARM_HEADER, ""), response.headers.get(RELEASE_HEADER, "")
            tail = b""
            async for chunk in response.content.iter_any():
                if first is None and request.stream:
                    first = time.time() - at
                tail = (tail + chunk)[-2 * len(_END_MARK) :]
            complete = _END_MARK in tail if request.stream else True
    except (aiohttp.ClientError, TimeoutError):
        complete = False
    ok = status == 200 and complete
    sink.write(Sample(at, sent - at, time.time() - at, first, status, ok, arm, release, request.stream))


if __name__ == "__main__":
    sys.exit(main())
