"""A load run's own figures for Prometheus to scrape while it goes on, from the process that gathers them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ops.loadtest.calls import INTENDED, LATE, OK, TOKENS, failures
from ops.loadtest.recording import Measure, Recorder
from ops.loadtest.run import Collecting
from ops.spec.serving import Measuring

METRIC_REQUESTS = "load_requests"
"""Counter by suite, phase, task, task_class and outcome: in_time, late, failed."""
METRIC_FAILURES = "load_failures"
"""Counter by suite, phase, task, task_class and cause."""
METRIC_TOKENS = "load_tokens"
HISTOGRAMS = {
    Measure.LATENCY: ("load_latency_seconds", "From the intended start to the last byte of a good answer."),
    Measure.SEND_LAG: ("load_send_lag_seconds", "From the intended start to the sending."),
    Measure.FIRST_TOKEN: ("load_time_to_first_token_seconds", "From the intended start to the first token."),
    Measure.TIME_PER_TOKEN: ("load_time_per_token_seconds", "Of a whole stream, mean of the tokens after the first."),
}
LOOPBACK = "127.0.0.1"
_LABELS = ("suite", "phase", "task", "task_class")
_MS = 1000


class RunMetrics(Collector):
    """``current`` gives the run that is going on, or the last one; None before the first."""

    def __init__(self, current: Callable[[], Collecting | None], measuring: Measuring) -> None:
        self._current = current
        latency = [bound / _MS for bound in measuring.latency_bounds_ms]
        self._bounds: Mapping[Measure, Sequence[float]] = {
            Measure.LATENCY: latency,
            Measure.SEND_LAG: [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, *(bound for bound in latency if bound > 0.1)],
            Measure.FIRST_TOKEN: [bound / _MS for bound in measuring.first_token_bounds_ms],
            Measure.TIME_PER_TOKEN: [bound / _MS for bound in measuring.token_interval_bounds_ms],
        }

    def collect(self) -> Iterator[Metric]:
        run = self._current()
        if run is not None:
            yield from self._counts(run)
            yield from self._histograms(run)
            yield from _generators(run)

    def _counts(self, run: Collecting) -> Iterator[Metric]:
        requests = CounterMetricFamily(METRIC_REQUESTS, "Requests that are over.", labels=(*_LABELS, "outcome"))
        causes = CounterMetricFamily(METRIC_FAILURES, "Requests that failed.", labels=(*_LABELS, "cause"))
        due = CounterMetricFamily("load_requests_due", "Requests that were due.", labels=_LABELS)
        tokens = CounterMetricFamily(METRIC_TOKENS, "Tokens of streams.", labels=_LABELS)
        for labels, recorder in _cells(run):
            counts = recorder.counts
            failed = failures(counts)
            for outcome, count in (
                ("in_time", counts[OK] - counts[LATE]), ("late", counts[LATE]), ("failed", sum(failed.values()))
            ):  # fmt: skip
                requests.add_metric((*labels, outcome), count)
            for cause, count in failed.items():
                causes.add_metric((*labels, cause), count)
            due.add_metric(labels, counts[INTENDED])
            tokens.add_metric(labels, counts[TOKENS])
        yield from (requests, causes, due, tokens)

    def _histograms(self, run: Collecting) -> Iterator[Metric]:
        for measure, (name, text) in HISTOGRAMS.items():
            family = HistogramMetricFamily(name, text, labels=_LABELS)
            for labels, recorder in _cells(run):
                histogram = recorder.histograms.get(measure)
                if histogram is not None:
                    total = histogram.count
                    buckets = [(f"{bound:g}", float(total - histogram.over(bound))) for bound in self._bounds[measure]]
                    family.add_metric(labels, [*buckets, ("+Inf", float(total))], None)
            yield family


def serve_metrics(address: str, current: Callable[[], Collecting | None], measuring: Measuring) -> Callable[[], None]:
    """At ``/metrics`` of ``PORT`` (of this machine alone) or ``HOST:PORT``. Returns what ends it. Raises OSError where
    the port is taken, ValueError for what is no address."""
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry()
    registry.register(RunMetrics(current, measuring))
    server, thread = start_http_server(int(port), host or LOOPBACK, registry)

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def _cells(run: Collecting) -> Iterator[tuple[tuple[str, ...], Recorder]]:
    for (phase, kind), recorder in run.so_far.items():
        one = run.plan.kinds[kind]
        task = f"{one.task} (stream)" if one.stream else one.task
        yield (run.suite, run.plan.phases[phase].name, task, one.task_class), recorder


def _generators(run: Collecting) -> Iterator[Metric]:
    labels = ("suite", "generator")
    gauges = {
        "in_flight": GaugeMetricFamily("load_generator_in_flight", "Requests under way.", labels=labels),
        "waiting": GaugeMetricFamily("load_generator_waiting", "Requests that wait for a connection.", labels=labels),
        "connections": GaugeMetricFamily("load_generator_connections", "Open connections.", labels=labels),
        "cpu_share": GaugeMetricFamily("load_generator_cpu_cores", "Of the driver, since it last told.", labels=labels),
        "memory_bytes": GaugeMetricFamily("load_generator_memory_bytes", "Of the driver, at most.", labels=labels),
    }
    for name, health in run.latest.items():
        for field, gauge in gauges.items():
            gauge.add_metric((run.suite, name), float(getattr(health, field)))
    yield from gauges.values()
