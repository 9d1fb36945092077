"""Streams: are 20,000 events a second counted exactly, and are TTFT and ITL those that the server kept?

The server notes when it sent each event, by the same clock. Its percentiles and the driver's must agree.
"""

from __future__ import annotations

import msgspec

from benchmarks.load.running import Driven, plan, serving
from ops.loadtest.arrivals import Process
from ops.loadtest.calls import EVENTS, INTENDED, OK, TOKENS
from ops.loadtest.plan import Phase
from ops.loadtest.recording import Measure

EVENTS_PER_STREAM, FIRST_SECONDS, GAP_SECONDS = 64, 0.1, 0.02
SECONDS = 20.0
OFF_SECONDS_MAX = 0.001
CONNECTIONS, WARMUP_SECONDS = 2_000, 5.0
"""Within the latter connections are made: the server's clock begins with the request. All events are counted."""
CPU_SHARE_MAX = 1.0
PERCENTS = (50.0, 95.0, 99.0)


def at(events_per_second: float, seconds: float = SECONDS) -> dict[str, object]:
    options = {"events": EVENTS_PER_STREAM, "delay_seconds": FIRST_SECONDS, "gap_seconds": GAP_SECONDS}
    with serving("stream", **options) as server:
        rate = events_per_second / EVENTS_PER_STREAM
        more = {"stream": True, "connections_max": CONNECTIONS}
        given = plan(server.port, WARMUP_SECONDS + seconds, rate, Process.CONSTANT, **more)
        phases = (Phase("warm-up", WARMUP_SECONDS, measured=False), Phase("steady", seconds))
        driven = Driven(msgspec.structs.replace(given, phases=phases))
        driven.wait()
    counts, told = driven.total.counts, server.summary
    cpu = [report.cpu_seconds for report in driven.reports]
    steady = driven.by_phase[1].histograms
    first = [steady[Measure.FIRST_TOKEN].percentile(percent) for percent in PERCENTS]
    gap = [steady[Measure.TOKEN_INTERVAL].percentile(percent) for percent in PERCENTS]
    return {
        "events_per_second": counts[EVENTS] / (WARMUP_SECONDS + seconds),
        "exact": counts[EVENTS] == counts[TOKENS] == told["events"] and counts[OK] == counts[INTENDED],
        "events": {"ours": counts[EVENTS], "server": told["events"]},
        "first_seconds": {"ours": first, "server": told["first_seconds"]},
        "gap_seconds": {"ours": gap, "server": told["gap_seconds"]},
        "first_off_seconds_p99": abs(first[2] - told["first_seconds"][2]),  # type: ignore[index]
        "gap_off_seconds_p99": abs(gap[2] - told["gap_seconds"][2]),  # type: ignore[index]
        "cpu_share": sum(cpu) / (WARMUP_SECONDS + seconds),
        "events_per_cpu_second": counts[EVENTS] / sum(cpu),
    }


def run() -> dict[str, object]:
    full, half = at(20_000), at(10_000)
    for name, result in (("20,000", full), ("10,000", half)):
        print(f"{name} events/s")
        for key, value in result.items():
            print(f"  {key}: {value}")
    exact = bool(full["exact"]) and bool(half["exact"]) and float(str(full["cpu_share"])) <= CPU_SHARE_MAX
    true = max(float(str(half[key])) for key in ("first_off_seconds_p99", "gap_off_seconds_p99")) <= OFF_SECONDS_MAX
    return {"outcome": "pass" if exact and true else "fail", "percents": PERCENTS, "full": full, "half": half}
