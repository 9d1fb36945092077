"""The generator alone: 10,000 users who stay connected, 1,000 requests a second between them, one process of Locust.

Send lag is taken from all requests after the warm-up; memory and CPU are those of Locust and its driver together.
"""

from __future__ import annotations

import time

import msgspec

from benchmarks.load.cost import locust
from benchmarks.load.running import cpu_seconds, plan, serving
from ops.loadtest.calls import INTENDED, OK
from ops.loadtest.plan import Phase
from ops.loadtest.recording import Measure, Recorder

CONNECTIONS, RATE = 10_000, 1_000.0
WARMUP_SECONDS, SECONDS = 20.0, 30.0
PLACEHOLDERS = 60
LAG_SECONDS_MAX, MEMORY_MIB_MAX = 0.005, 300.0
SPARE_SECONDS = 10.0


def run() -> dict[str, object]:
    with serving("answer") as server:
        given = plan(
            server.port, WARMUP_SECONDS + SECONDS, RATE, connections_max=CONNECTIONS, connections_held=CONNECTIONS
        )
        phases = (Phase("warm-up", WARMUP_SECONDS, measured=False), Phase("steady", SECONDS))
        given = msgspec.structs.replace(given, phases=phases)
        with locust("ours", server.port, PLACEHOLDERS, given) as (process, reports):
            time.sleep(WARMUP_SECONDS)
            cpu, began = cpu_seconds(process), time.perf_counter()
            time.sleep(SECONDS)
            cpu, wall = cpu_seconds(process) - cpu, time.perf_counter() - began
            family = [process, *process.children(recursive=True)]
            memory = sum(one.memory_full_info().pss for one in family) / 2**20
            driver = family[-1].memory_full_info().pss / 2**20
            time.sleep(SPARE_SECONDS)
    total = Recorder()
    for report in reports:
        for cell in report.cells:
            if cell.phase == 1:
                total.merge(cell.recorded)
    lag = [total.histograms[Measure.SEND_LAG].percentile(percent) for percent in (50, 95, 99)]
    held = max(report.connections for report in reports)
    sound = held == CONNECTIONS and total.counts[OK] == total.counts[INTENDED] > 0.9 * RATE * SECONDS
    kept = lag[1] < LAG_SECONDS_MAX and memory < MEMORY_MIB_MAX
    result = {
        "outcome": ("pass" if kept else "fail") if sound else "invalid",
        "connections": held,
        "requests": total.counts[INTENDED],
        "answered": total.counts[OK],
        "send_lag_seconds": dict(zip(("p50", "p95", "p99"), lag, strict=True)),
        "latency_seconds_p95": total.histograms[Measure.LATENCY].percentile(95),
        "memory_mib": {"locust_and_driver": memory, "driver": driver},
        "cpu_share": cpu / wall,
    }
    for name, value in result.items():
        print(f"{name}: {value}")
    return result
