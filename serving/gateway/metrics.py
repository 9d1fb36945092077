"""The worker's counters in Prometheus's text format, built when somebody scrapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from serving import contract
from serving.contract import BadEvent, RouteState
from serving.gateway.admission import Admission
from serving.gateway.counting import Cell, Counters, Histogram
from serving.gateway.request_log import RequestLog
from serving.gateway.routes import Routes

CELL_LABELS = ("tier", "arm", "epoch", "task_class", "stratum")
CONTENT_TYPE = (b"content-type", CONTENT_TYPE_LATEST.encode())

HISTOGRAMS = {
    BadEvent.SLOW: (contract.METRIC_LATENCY, "From arrival to the last byte of whole answers."),
    BadEvent.SLOW_FIRST_TOKEN: (contract.METRIC_FIRST_TOKEN, "From arrival to the first content of whole streams."),
    BadEvent.SLOW_TOKENS: (contract.METRIC_TOKEN_INTERVAL, "Mean time between a whole stream's tokens."),
    BadEvent.OUTPUT_LENGTH: (contract.METRIC_OUTPUT_TOKENS, "Tokens of whole answers, as engines told."),
}


@dataclass(frozen=True)
class WorkerCollector(Collector):
    """Reads the counters of one worker."""

    worker: str
    instance: str
    counters: Counters
    routes: Routes
    admission: Admission
    log: RequestLog

    def collect(self) -> Iterator[Metric]:
        this = (self.worker, self.instance)
        yield _gauge(contract.METRIC_INSTANCE, "This worker.", ("worker", "instance"), [(this, 1)])
        cells = tuple(self._cells())
        yield from cells
        control_sum = sum(1 + sample.value for family in cells for sample in family.samples)
        text = "Sum of the counters of requests, each plus one."
        yield _gauge(contract.METRIC_CONTROL_SUM, text, (), [((), control_sum)])
        yield from self._measured()
        yield from self._objectives()
        yield from self._answers()
        yield _gauge(contract.METRIC_IN_FLIGHT, "Requests that hold a slot.", (), [((), self.admission.in_flight)])
        yield _gauge(contract.METRIC_QUEUED, "Requests that wait for a slot.", (), [((), self.admission.queued)])
        yield from self._routes()

    def _cells(self) -> Iterator[Metric]:
        cells = [
            ((tier, arm, str(epoch), *rest), cell)
            for (tier, arm, epoch, *rest), cell in self.counters.cells.items()
        ]
        counts: tuple[tuple[str, str, Callable[[Cell], int]], ...] = (
            (contract.METRIC_ASSIGNED, "Requests assigned to an arm.", lambda cell: cell.assigned),
            (contract.METRIC_FINISHED, "Assigned requests that are over.", lambda cell: cell.finished),
            (contract.METRIC_STREAMED, "Assigned requests that asked for a stream.", lambda cell: cell.streamed),
        )
        for name, text, value in counts:
            yield _counter(name, text, CELL_LABELS, [(labels, value(cell)) for labels, cell in cells])
        bad = [((*labels, event), count) for labels, cell in cells for event, count in cell.bad.items()]
        yield _counter(contract.METRIC_BAD, "Bad events, one of a kind per request.", (*CELL_LABELS, "event"), bad)
        levels = [
            ((*labels, event, str(level)), count)
            for labels, cell in cells
            for event, counts in cell.levels.items()
            for level, count in enumerate(counts)
        ]
        text = "Requests by the level of a graded event."
        yield _counter(contract.METRIC_LEVEL, text, (*CELL_LABELS, "event", "level"), levels)

    def _measured(self) -> Iterator[Metric]:
        for event, (name, text) in HISTOGRAMS.items():
            family = HistogramMetricFamily(name, text, labels=("tier", "arm", "task_class"))
            for key, measured in self.counters.coarse.items():
                family.add_metric(key, *_buckets(measured[event]))
            yield family

    def _objectives(self) -> Iterator[Metric]:
        of = self.counters.objectives
        requests = [((*key, objective), n) for key, counts in of.items() for objective, n in counts.owed()]
        misses = [((*key, objective), n) for key, counts in of.items() for objective, n in counts.misses.items()]
        events = [((*key, event), n) for key, counts in of.items() for event, n in counts.events.items()]
        labels = ("tier", "task_class", "objective")
        yield _counter(contract.METRIC_OBJECTIVE_REQUESTS, "Requests owed the objective.", labels, requests)
        yield _counter(contract.METRIC_OBJECTIVE_MISSES, "Of these, those that missed it.", labels, misses)
        yield _counter(contract.METRIC_EVENTS, "Bad events.", ("tier", "task_class", "event"), events)

    def _answers(self) -> Iterator[Metric]:
        counters = self.counters
        responses = [((task, tier, str(status)), n) for (task, tier, status), n in counters.responses.items()]
        synthetic = [((task, str(status)), n) for (task, status), n in counters.synthetic.items()]
        refused = [((limit,), n) for limit, n in counters.refused.items()]
        yield _counter(contract.METRIC_RESPONSES, "Answers to clients.", ("task", "tier", "status"), responses)
        yield _counter(contract.METRIC_REFUSED, "Requests refused at the door.", ("limit",), refused)
        tokens = list(counters.tokens.items())
        yield _counter(contract.METRIC_TOKENS, "Tokens, as engines told.", ("task", "tier", "direction"), tokens)
        yield _counter(contract.METRIC_SYNTHETIC, "Probes and warm-up.", ("task", "status"), synthetic)
        yield _counter("gateway_log_lines_dropped", "Log lines that nobody read in time.", (), [((), self.log.dropped)])

    def _routes(self) -> Iterator[Metric]:
        held = self.routes.state().tiers
        routes = {tier: self.routes.held[tier] for tier in held}
        epochs = [((tier,), state.table.epoch) for tier, state in held.items()]
        weights = [
            ((tier, route.arm, route.release), weight / contract.WEIGHT_TOTAL)
            for tier, tier_route in routes.items()
            for route, weight in tier_route.in_force
        ]
        states = [((tier, state), int(state is held[tier].state)) for tier in held for state in RouteState]
        yield _gauge(contract.METRIC_ROUTE_EPOCH, "Epoch of the routing table held.", ("tier",), epochs)
        yield _gauge(contract.METRIC_ROUTE_WEIGHT, "Weight in force.", ("tier", "arm", "release"), weights)
        yield _gauge(contract.METRIC_ROUTE_STATE, "1 for the state in force.", ("tier", "state"), states)


def render(collector: WorkerCollector) -> bytes:
    """The text format, the process's own metrics included."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return generate_latest(registry)


Samples = Sequence[tuple[tuple[str, ...], float]]


def _counter(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _buckets(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """Cumulative counts by upper bound, and the sum."""
    buckets, total = [], 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(total)))
    return buckets, histogram.total
