"""The driver's process: orders come by stdin, reports go to stdout. ``python -m ops.loadtest.driver_process``.

A process of its own, so that neither a user interface nor the merging of figures can delay a request. It ends when
stdin does: whoever started it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import resource
import signal
import sys
import threading
import time
from typing import BinaryIO

import msgspec
import uvloop

from ops.loadtest.driver import Driver
from ops.loadtest.frames import Adjust, Begin, Cell, Order, Report, read, write

REPORT_SECONDS = 0.5
GARBAGE_YOUNG = 10_000
"""New objects between two small collections."""
_KIBIBYTE = 1024


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches all; whoever started it says when to end
    # Without a buffer, whose lock a thread that still reads would hold at the interpreter's end, which aborts then.
    orders = io.FileIO(sys.stdin.fileno(), closefd=False)
    try:
        begin = _next_order(orders)
    except (ValueError, msgspec.DecodeError):
        begin = None
    if not isinstance(begin, Begin):
        print("to be started by a load run, which tells it what to do", file=sys.stderr)
        return 2
    # With 10,000 connections a full collection takes 40 ms, in which nothing is sent. What is made in cycles, such as a
    # connection that fails, is young when it is garbage, and the small collections find it.
    gc.freeze()
    gc.set_threshold(GARBAGE_YOUNG, 10, 1_000_000)
    try:
        uvloop.run(_run(begin, orders))
    except BrokenPipeError:  # whoever started it is gone
        return 2
    return 0


def _next_order(orders: BinaryIO) -> Order | None:
    data = read(orders)
    return None if data is None else msgspec.msgpack.decode(data, type=Order)


async def _run(begin: Begin, orders: BinaryIO) -> None:
    driver = Driver(begin.plan, begin.share, begin.users)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_listen, args=(loop, driver, orders), daemon=True).start()
    running = asyncio.create_task(driver.run())
    cpu = _cpu_seconds()
    over = False
    while not over:
        await asyncio.wait((running,), timeout=REPORT_SECONDS)
        over = running.done()  # and only then the report is the final one: it may end while one is being written
        before, cpu = cpu, _cpu_seconds()
        error = str(running.exception()) if over and running.exception() else ""
        report = _report(driver, cpu - before, over, error)
        await loop.run_in_executor(None, write, sys.stdout.buffer, report)


def _listen(loop: asyncio.AbstractEventLoop, driver: Driver, orders: BinaryIO) -> None:
    """Hands orders to the driver until stdin ends, or says what is no order."""
    with contextlib.suppress(RuntimeError):  # the loop is over
        try:
            while isinstance(order := _next_order(orders), Adjust):
                loop.call_soon_threadsafe(driver.adjust, order.share, order.users)
        except (ValueError, msgspec.DecodeError):
            print("the load generator was told what it does not understand, and stops", file=sys.stderr)
        loop.call_soon_threadsafe(driver.stop)


def _report(driver: Driver, cpu_seconds: float, final: bool, error: str) -> Report:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cells = tuple(Cell(phase, kind, recorded) for (phase, kind), recorded in driver.taken().items() if recorded.counts)
    return Report(
        time.time(),
        driver.elapsed_seconds,
        cells,
        driver.in_flight,
        driver.pool.waiting,
        driver.pool.open,
        cpu_seconds,
        usage.ru_maxrss * _KIBIBYTE,
        final,
        error,
    )


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
