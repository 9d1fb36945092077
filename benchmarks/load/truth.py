"""Whether the latencies are true: a server that stands still, and who says what about it.

The server is stopped (SIGSTOP) for a known time. A request due within it takes until the server goes on, so that all
percentiles follow from the times at which requests were due. The independent generator is a small one of threads and
blocking sockets that gets the same times: wrk2's method, latency from when a request was due.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from math import ceil
from random import Random

from benchmarks.load.running import REQUEST, Driven, Server, plan, serving
from ops.loadtest.arrivals import Process, Segment, arrivals
from ops.loadtest.recording import Measure

PERCENTS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
ANALYTIC_MAX, INDEPENDENT_MAX = 0.02, 0.05
"""Relative deviations allowed."""
RATE = 100.0
"""Beside the independent generator, and where nothing stands still."""
REQUESTS_STALLED = 100
"""Where the answer is reckoned: so few that a server which goes on has answered them at once."""
LEAD_SECONDS = 2.0
"""Before the first request: the independent generator learns when that is."""
CONNECTIONS = 2 * REQUESTS_STALLED
"""More than wait: what is reckoned knows of no queue behind a connection."""
THREADS = 64
"""Of the independent generator, with a connection each; ours has as many beside it."""
STEADY_SECONDS = 10.0
STEADY_DELAY_SECONDS = 0.05


def off(ours: list[float], right: list[float]) -> float:
    """The largest relative deviation."""
    return max(abs(one / other - 1) for one, other in zip(ours, right, strict=True))


def due(process: Process, seconds: float, rate: float, seed: int) -> list[float]:
    """The driver's own times, drawn as it draws them: between two of them it chooses a request."""
    chance, found = Random(seed), []
    for at in arrivals([Segment(LEAD_SECONDS, 0, 0), Segment(seconds, rate, rate)], process, chance):
        chance.random()
        found.append(at)
    return found


def percentiles(latencies: list[float]) -> list[float]:
    ordered = sorted(latencies)
    return [ordered[ceil(percent / 100 * len(ordered) - 1e-9) - 1] for percent in PERCENTS]


def independent(port: int, times: list[float]) -> list[float]:
    """Latencies of requests at these unix times, each from its time on."""
    left, lock, found = list(reversed(times)), threading.Lock(), []

    def work() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            while True:
                with lock:
                    if not left:
                        return
                    at = left.pop()
                time.sleep(max(0.0, at - time.time()))
                connection.sendall(REQUEST)
                answer = b""
                while not answer.endswith(b'"}}]}'):
                    answer += connection.recv(65536)
                found.append(time.time() - at)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def stalled(process: Process, stall_seconds: float, compared: bool) -> tuple[list[float], list[float]]:
    """Our percentiles, and those that they should be: by the independent generator at the same server if ``compared``,
    else by reckoning. Four fifths of the requests fall into the stall, so that the median does too."""
    seconds, rate = 1.25 * stall_seconds, RATE if compared else REQUESTS_STALLED / stall_seconds
    offsets = due(process, seconds, rate, seed=1)
    theirs: list[float] = []
    most = THREADS if compared else CONNECTIONS
    with serving("answer") as server:
        driven = Driven(plan(server.port, seconds, rate, process, lead_seconds=LEAD_SECONDS, connections_max=most))
        started = driven.started_unix_seconds()
        times = [started + at for at in offsets]
        other = threading.Thread(target=lambda: theirs.extend(independent(server.port, times)))
        if compared:
            other.start()
        begin, end = stop(server, started + LEAD_SECONDS + stall_seconds / 8, stall_seconds)
        driven.wait()
        if compared:
            other.join()
    assert driven.total.histograms[Measure.LATENCY].count == len(times)
    ours = driven.percentiles(Measure.LATENCY, PERCENTS)
    reckoned = [end - at if begin <= at < end else 0.0 for at in times]
    return ours, percentiles(theirs if compared else reckoned)


def stop(server: Server, at: float, seconds: float) -> tuple[float, float]:
    """When the server stood still, in unix seconds."""
    time.sleep(max(0.0, at - time.time()))
    server.process.send_signal(signal.SIGSTOP)
    begin = time.time()
    time.sleep(seconds)
    server.process.send_signal(signal.SIGCONT)
    return begin, time.time()


def steady() -> dict[str, list[float]]:
    """A server that takes 50 ms, by us and by hey, whose closed loop is true where nothing stands still; p50, p95."""
    with serving("answer", delay_seconds=STEADY_DELAY_SECONDS) as server:
        driven = Driven(plan(server.port, STEADY_SECONDS, RATE))
        url, seconds = f"http://127.0.0.1:{server.port}/", f"{STEADY_SECONDS:.0f}s"
        hey = subprocess.run(
            ["hey", "-z", seconds, "-c", "10", "-q", "10", "-m", "POST", "-d", "{}", url],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        driven.wait()
    lines = [line.split() for line in hey.stdout.splitlines() if "% in" in line]
    theirs = [float(words[2]) for words in lines if words[0] in ("50%", "95%")]
    return {"ours": driven.percentiles(Measure.LATENCY, (50.0, 95.0)), "hey": theirs}


def run() -> dict[str, object]:
    rows = []
    for process in Process:
        for seconds in (1.0, 5.0, 10.0):
            alone, reckoned = stalled(process, seconds, compared=False)
            beside, independents = stalled(process, seconds, compared=True)
            row = {
                "arrivals": str(process), "stall_seconds": seconds,
                "ours": alone, "analytic": reckoned, "off_analytic": off(alone, reckoned),
                "ours_beside": beside, "independent": independents, "off_independent": off(beside, independents),
            }  # fmt: skip
            rows.append(row)
            by = f"off the analytic answer {row['off_analytic']:.2%}, off the independent {row['off_independent']:.2%}"
            print(f"{process:<8} {seconds:>4.0f} s: {by}", flush=True)
    kept = all(row["off_analytic"] <= ANALYTIC_MAX and row["off_independent"] <= INDEPENDENT_MAX for row in rows)
    quiet = steady()
    print("steady 50 ms, p50 and p95 in ms:", {name: [round(1000 * s, 1) for s in of] for name, of in quiet.items()})
    return {"outcome": "pass" if kept else "fail", "percents": PERCENTS, "stalls": rows, "steady": quiet}
