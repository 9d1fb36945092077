"""The driver's process as a load run sees it: told by stdin, heard by stdout, gone when it is no longer wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import msgspec
import psutil
import pytest

from ops.loadtest.calls import INTENDED, OK
from ops.loadtest.frames import FRAME_BYTES_MAX, Adjust, Begin, Report, Stop, read, write
from ops.loadtest.plan import Kind, Phase, Plan, Process, Rate

from .fake_http import REQUEST, answering, serving

SECONDS_MAX = 30.0
COMMAND = [sys.executable, "-m", "ops.loadtest.driver_process"]


def begin(port: int, seconds: float, rate: float = 200.0, share: float = 1.0) -> Begin:
    kind = Kind("x", "query", 0.5, 5.0, stream=False)
    rates, phases = (Rate(seconds, rate, rate),), (Phase("all", seconds),)
    return Begin(Plan("127.0.0.1", port, False, (kind,), ((0, REQUEST),), phases, rates, Process.CONSTANT), share, 0)


@contextmanager
def server() -> Iterator[int]:
    """A fake server on a thread of its own; its port."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def run() -> None:
        async with serving(answering) as found:
            ports.append(found.port)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(SECONDS_MAX)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(SECONDS_MAX)
        loop.close()


@contextmanager
def driver() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SECONDS_MAX)


def reports(process: subprocess.Popen[bytes]) -> Iterator[Report]:
    while (data := read(process.stdout)) is not None:
        yield msgspec.msgpack.decode(data, type=Report)


def counted(found: list[Report]) -> Counter[str]:
    return sum((Counter(cell.recorded.counts) for report in found for cell in report.cells), Counter())


@pytest.mark.server
def test_it_reports_twice_a_second_and_everything_once():
    with server() as port, driver() as process:
        write(process.stdin, begin(port, 2.0))
        found = list(reports(process))
        assert process.wait(SECONDS_MAX) == 0
    assert 3 <= len(found) <= 8
    assert [report.final for report in found] == [False] * (len(found) - 1) + [True]
    assert counted(found)[OK] == counted(found)[INTENDED] == pytest.approx(400, abs=1)
    assert all(report.cpu_seconds >= 0 and report.memory_bytes > 1 << 20 for report in found)
    assert (found[-1].in_flight, found[-1].waiting, found[-1].error) == (0, 0, "")


@pytest.mark.server
def test_it_stops_when_it_is_told_to_and_says_what_it_has():
    with server() as port, driver() as process:
        write(process.stdin, begin(port, 60.0))
        heard = reports(process)
        found = [next(heard), next(heard)]
        write(process.stdin, Adjust(0.5, 0))
        write(process.stdin, Stop())
        found += list(heard)
        assert process.wait(SECONDS_MAX) == 0
    assert found[-1].final
    assert 0 < counted(found)[OK] == counted(found)[INTENDED] < 1000


@pytest.mark.server
def test_it_stops_when_what_it_is_told_makes_no_sense():
    with server() as port, driver() as process:
        write(process.stdin, begin(port, 60.0))
        heard = reports(process)
        next(heard)
        process.stdin.write(b"\xff" * 8)
        process.stdin.flush()
        assert list(heard)[-1].final
        _, errors = process.communicate(timeout=SECONDS_MAX)
    assert b"does not understand" in errors
    assert b"Traceback" not in errors


@pytest.mark.server
def test_it_ends_soon_after_whoever_started_it_was_killed():
    parent_code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({COMMAND!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdin.write(sys.stdin.buffer.read()); child.stdin.flush()\n"
        "child.stdout.read(100); print(child.pid, flush=True); time.sleep(60)\n"
    )
    frame = BytesIO()
    with server() as port:
        write(frame, begin(port, 60.0))
        parent = subprocess.Popen([sys.executable, "-c", parent_code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        parent.stdin.write(frame.getvalue())
        parent.stdin.close()
        child = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(SECONDS_MAX)
        parent.stdout.close()
        psutil.wait_procs([child], timeout=10.0)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.server
def test_a_terminals_interrupt_is_left_to_whoever_started_it():
    with server() as port, driver() as process:
        write(process.stdin, begin(port, 1.5))
        heard = reports(process)
        first = next(heard)
        process.send_signal(signal.SIGINT)
        found = [first, *heard]
        assert process.wait(SECONDS_MAX) == 0
    assert counted(found)[OK] == pytest.approx(300, abs=1)


@pytest.mark.server
def test_an_early_end_says_why():
    frame = begin(1, 1.0)
    broken = msgspec.structs.replace(frame, plan=msgspec.structs.replace(frame.plan, requests=()))
    with driver() as process:
        write(process.stdin, broken)
        found = list(reports(process))
    assert found[-1].final
    assert "index out of range" in found[-1].error


@pytest.mark.parametrize("given", [b"", b"\x00", b"\x00\x00\x00\x02ab", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_beginning_is_refused_in_a_line(given):
    done = subprocess.run(COMMAND, input=given, capture_output=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1


def test_frames_are_read_as_they_were_written():
    stream, orders = BytesIO(), [begin(80, 1.0), Adjust(0.5, 3), Stop()]
    for order in orders:
        write(stream, order)
    stream.seek(0)
    found = []
    while (data := read(stream)) is not None:
        found.append(msgspec.msgpack.decode(data, type=Begin | Adjust | Stop))
    assert found == orders


@pytest.mark.parametrize("data", [b"\x00\x00", b"\x00\x00\x00\x05abc", (FRAME_BYTES_MAX + 1).to_bytes(4, "big") + b"x"])
def test_a_stream_that_breaks_off_or_is_no_frame_is_refused(data):
    with pytest.raises(ValueError, match="frame"):
        read(BytesIO(data))
