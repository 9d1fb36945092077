"""Reports as Locust shows them: its table, its charts and its CSV files. What is judged is kept elsewhere."""

from __future__ import annotations

import numpy as np
from hdrh.histogram import HdrHistogram
from locust.stats import RequestStats, StatsEntry

from ops.loadtest.calls import OK, failures
from ops.loadtest.frames import Report
from ops.loadtest.plan import Plan
from ops.loadtest.recording import Measure, Recorded

_MICROSECONDS_PER_MS = 1000


def show(stats: RequestStats, plan: Plan, report: Report) -> None:
    """Adds a report's requests to Locust's statistics."""
    for cell in report.cells:
        kind = plan.kinds[cell.kind]
        latencies = _latencies(cell.recorded)
        for entry in (stats.get(kind.task, "POST"), stats.total):
            _add(entry, cell.recorded, latencies, report.at_unix_seconds)
        for cause, count in failures(cell.recorded.counts).items():
            for _ in range(count):
                stats.log_error("POST", kind.task, cause)


def _latencies(recorded: Recorded) -> list[tuple[float, int]]:
    """Milliseconds and how often. Not by the library's iterator, which walks over every bucket there is: 34 ms."""
    encoded = recorded.histograms.get(Measure.LATENCY)
    if encoded is None:
        return []
    histogram = HdrHistogram.decode(encoded)
    counts = np.ctypeslib.as_array(histogram.counts)
    found = np.flatnonzero(counts).tolist()
    return [(histogram.get_value_from_index(i) / _MICROSECONDS_PER_MS, int(counts[i])) for i in found]


def _add(entry: StatsEntry, recorded: Recorded, latencies: list[tuple[float, int]], at: float) -> None:
    failed = sum(failures(recorded.counts).values())
    answered = recorded.counts.get(OK, 0)
    second = int(at)
    entry.num_requests += answered + failed
    entry.num_reqs_per_sec[second] += answered + failed
    entry.num_none_requests += failed  # without a time: a failure is no fast answer
    entry.last_request_timestamp = at
    for milliseconds, count in latencies:
        entry.response_times[round(milliseconds)] += count
        entry.total_response_time += round(milliseconds * count)
        whole = round(milliseconds)
        entry.min_response_time = whole if entry.min_response_time is None else min(entry.min_response_time, whole)
        entry.max_response_time = max(entry.max_response_time, whole)
