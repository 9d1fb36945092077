"""Ten million requests through the measuring: does memory grow? One in ten is a stream of eight events.

What a driver records, its reports of 5,000 requests each, and the adding up where they are judged. The figures over
time that the judging process keeps besides grow with time up to a bound; how much, is measured by itself.
"""

from __future__ import annotations

import time
from random import Random

import numpy as np
import psutil

from benchmarks.load.running import plan
from ops.loadtest.calls import Call, record
from ops.loadtest.connection import Exchange
from ops.loadtest.frames import Cell, Report
from ops.loadtest.recording import Recorder
from ops.loadtest.run import WINDOWS_MAX, Collecting
from ops.loadtest.streams import Stream

REQUESTS, PER_REPORT = 10_000_000, 5_000
LOOKS = 200
SETTLED = 0.5
"""The part of the run before memory is looked at."""
SLOPE_BYTES_MAX = 0.1
"""A request: a mebibyte in ten million."""
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":" word"}}]}\n\n'
END = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":8}}\n\ndata: [DONE]\n\n'


def request(given_kind: object, recorder: Recorder, at: float, chance: Random, streamed: bool) -> None:
    call = Call(at, given_kind, b"", recorder, lambda _: None, at + 60)  # type: ignore[arg-type]
    end = at + chance.lognormvariate(-1, 0.5)
    if streamed:
        call.stream = Stream()
        for i in range(8):
            call.stream.feed(EVENT, at + (end - at) * (i + 1) / 9)
        call.stream.feed(END, end)
    record(call, Exchange(at + chance.random() * 0.001, 200, end, end))


def reported(recorder: Recorder, number: int, requests: int, kind: object, chance: Random) -> Report:
    for i in range(requests):
        request(kind, recorder, number / 2 + i / requests / 2, chance, streamed=not i % 10)
    return Report(number / 2, number / 2, (Cell(0, 0, recorder.taken()),), 0, 0, 0, 0.5, 1)


def windows_bytes() -> int:
    """That a process keeps of a run of ``WINDOWS_MAX`` windows, one kind of request, at most."""
    given, process, recorder = plan(1, WINDOWS_MAX, 1.0), psutil.Process(), Recorder()
    collecting = Collecting("endurance", given, 0.0)
    before = process.memory_info().rss
    for number in range(2 * WINDOWS_MAX):
        collecting.take("local", reported(recorder, number, 500, given.kinds[0], Random(number)))
    return process.memory_info().rss - before


def run() -> dict[str, object]:
    kind, chance, process = plan(1, 1.0, 1.0).kinds[0], Random(1), psutil.Process()
    recorder, total = Recorder(), Recorder()
    looks: list[tuple[int, int]] = []
    began = time.process_time()
    for number in range(REQUESTS // PER_REPORT):
        total.merge(reported(recorder, number, PER_REPORT, kind, chance).cells[0].recorded)
        if not number % (REQUESTS // PER_REPORT // LOOKS):
            looks.append((number * PER_REPORT, process.memory_info().rss))
    cpu = time.process_time() - began
    settled = np.array([look for look in looks if look[0] >= SETTLED * REQUESTS], dtype=float)
    slope = float(np.polyfit(settled[:, 0], settled[:, 1], 1)[0])
    counted = total.counts["ok"]
    mib = [looks[0][1] / 2**20, float(settled[0, 1]) / 2**20, float(settled[-1, 1]) / 2**20]
    over_time = windows_bytes() / 2**20
    print(f"{counted:,} requests, {1e6 * cpu / REQUESTS:.1f} µs of CPU each; memory {mib[0]:.1f} MiB at first,")
    print(f"{mib[1]:.1f} MiB at {SETTLED:.0%}, {mib[2]:.1f} MiB at the end: {slope:.4f} bytes a request;")
    print(f"{WINDOWS_MAX} windows of one kind: {over_time:.1f} MiB")
    kept = slope <= SLOPE_BYTES_MAX and counted == REQUESTS
    return {
        "outcome": "pass" if kept else "fail", "requests": counted, "bytes_per_request": slope,
        "microseconds_per_request": 1e6 * cpu / REQUESTS, "memory_mib": mib, "windows_mib": over_time, "looks": looks,
    }  # fmt: skip
