"""Every metric that a rule or a panel may read: its kind, its labels, and what exposes it.

A query that names anything else is refused when it is rendered. Names of the gateway and of the controller come from
where they are exposed; those of others from their documentation, and tests compare them with the real programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType

from ops.rollout import metric_names as names
from serving import contract


class Source(StrEnum):
    """What exposes a metric; the value is its job in Prometheus."""

    GATEWAY = "gateway"
    CONTROLLER = "controller"
    ENGINE = "engine"
    NODE = "node"
    """node_exporter."""
    DCGM = "dcgm"
    """NVIDIA's dcgm-exporter."""
    POSTGRES = "postgres"
    """postgres_exporter."""
    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"


ALWAYS = frozenset({Source.GATEWAY, Source.CONTROLLER, Source.ENGINE, Source.PROMETHEUS, Source.ALERTMANAGER})
"""The others are there where the spec names them under ``alerting.exporters``."""


def present(exporters: Iterable[str]) -> frozenset[Source]:
    """Everything that exposes metrics where these exporters run."""
    return ALWAYS | {Source(name) for name in exporters}


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


SCRAPE_LABELS = frozenset({"job", "instance"})
"""Prometheus adds them to every series."""


@dataclass(frozen=True)
class Metric:
    name: str
    """Without a suffix, counters excepted: ``gateway_requests_bad_total``, ``gateway_request_latency_seconds``."""
    kind: Kind
    source: Source
    labels: frozenset[str]
    """Besides job and instance."""

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which it is stored."""
        if self.kind is not Kind.HISTOGRAM:
            return (self.name,)
        return tuple(f"{self.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))


def _of(source: Source, kind: Kind, labels: str, names: Iterable[str]) -> Iterator[Metric]:
    suffix = "_total" if kind is Kind.COUNTER else ""
    for name in names:
        yield Metric(name + suffix, kind, source, frozenset(labels.split()))


def _gateway() -> Iterator[Metric]:
    counter, gauge, histogram, of = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM, Source.GATEWAY
    cell = "tier arm epoch task_class stratum"
    promised = (contract.METRIC_OBJECTIVE_REQUESTS, contract.METRIC_OBJECTIVE_MISSES)
    yield from _of(of, counter, "tier task_class objective", promised)
    yield from _of(of, counter, "tier task_class event", (contract.METRIC_EVENTS,))
    counts = (contract.METRIC_ASSIGNED, contract.METRIC_FINISHED, contract.METRIC_STREAMED)
    yield from _of(of, counter, cell, counts)
    yield from _of(of, counter, f"{cell} event", (contract.METRIC_BAD,))
    yield from _of(of, counter, f"{cell} event level", (contract.METRIC_LEVEL,))
    histograms = (
        contract.METRIC_LATENCY,
        contract.METRIC_FIRST_TOKEN,
        contract.METRIC_TOKEN_INTERVAL,
        contract.METRIC_OUTPUT_TOKENS,
    )
    yield from _of(of, histogram, "tier arm task_class", histograms)
    yield from _of(of, counter, "task tier status", (contract.METRIC_RESPONSES,))
    yield from _of(of, counter, "limit", (contract.METRIC_REFUSED,))
    yield from _of(of, counter, "task tier direction", (contract.METRIC_TOKENS,))
    yield from _of(of, counter, "task status", (contract.METRIC_SYNTHETIC,))
    yield from _of(of, counter, "", ("gateway_log_lines_dropped",))
    yield from _of(of, gauge, "", (contract.METRIC_IN_FLIGHT, contract.METRIC_QUEUED, contract.METRIC_CONTROL_SUM))
    yield from _of(of, gauge, "tier", (contract.METRIC_ROUTE_EPOCH,))
    yield from _of(of, gauge, "tier arm release", (contract.METRIC_ROUTE_WEIGHT,))
    yield from _of(of, gauge, "tier state", (contract.METRIC_ROUTE_STATE,))
    yield from _of(of, gauge, "worker", (contract.METRIC_INSTANCE,))


def _controller() -> Iterator[Metric]:
    counter, gauge, of = Kind.COUNTER, Kind.GAUGE, Source.CONTROLLER
    alone = (names.LEADER, names.TERM, names.LAST_TICK, names.DATABASE_UP, names.NOTIFICATIONS, names.FREEZE)
    yield from _of(of, gauge, "", alone)
    yield from _of(of, counter, "", (names.TICKS,))
    yield from _of(of, counter, "kind", (names.TICK_FAILURES,))
    yield from _of(of, Kind.HISTOGRAM, "", (names.TICK_SECONDS,))
    yield from _of(of, gauge, "tier", (names.STEP_WEIGHT, names.STARTED, names.BLIND, names.QUALITY_PROBED))
    yield from _of(of, gauge, "tier state", (names.STATE,))
    yield from _of(of, gauge, "tier event direction", (names.EVIDENCE, names.EVIDENCE_NEEDED))
    yield from _of(of, gauge, "tier judgement outcome", (names.QUALITY,))
    yield from _of(of, counter, "tier answer", (names.LOOKS,))
    yield from _of(of, counter, "tier outcome", (names.ENDED,))


def _engine() -> Iterator[Metric]:
    """Of vLLM 0.32; what models with images, offloading or several engines add is not used."""
    counter, gauge, of = Kind.COUNTER, Kind.GAUGE, Source.ENGINE
    own = "model_name engine"
    gauges = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
    yield from _of(of, gauge, own, (f"vllm:{name}" for name in gauges))
    yield from _of(of, gauge, f"{own} reason", ("vllm:num_requests_waiting_by_reason",))
    counters = (
        "num_preemptions",
        "prompt_tokens",
        "prompt_tokens_cached",
        "generation_tokens",
        "prefix_cache_queries",
        "prefix_cache_hits",
    )
    yield from _of(of, counter, own, (f"vllm:{name}" for name in counters))
    yield from _of(of, counter, f"{own} finished_reason", ("vllm:request_success",))
    yield from _of(of, counter, "model_name reason", ("vllm:admission_rejections",))
    histograms = (
        "time_to_first_token_seconds",
        "inter_token_latency_seconds",
        "request_time_per_output_token_seconds",
        "e2e_request_latency_seconds",
        "request_queue_time_seconds",
        "request_prefill_time_seconds",
        "request_decode_time_seconds",
        "request_prompt_tokens",
        "request_generation_tokens",
        "iteration_tokens_total",
    )
    yield from _of(of, Kind.HISTOGRAM, own, (f"vllm:{name}" for name in histograms))


def _exporters() -> Iterator[Metric]:
    """node_exporter 1.5, dcgm-exporter's default counters, postgres_exporter 0.11."""
    counter, gauge = Kind.COUNTER, Kind.GAUGE
    node, dcgm, postgres = Source.NODE, Source.DCGM, Source.POSTGRES
    yield from _of(node, counter, "cpu mode", ("node_cpu_seconds",))
    memory = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")
    yield from _of(node, gauge, "", (f"node_memory_{name}_bytes" for name in memory))
    files = ("avail_bytes", "size_bytes", "files", "files_free", "readonly")
    yield from _of(node, gauge, "device fstype mountpoint", (f"node_filesystem_{name}" for name in files))
    disk = ("read_bytes", "written_bytes", "io_time_seconds")
    yield from _of(node, counter, "device", (f"node_disk_{name}" for name in disk))
    network = ("receive_bytes", "transmit_bytes", "receive_errs", "transmit_errs")
    yield from _of(node, counter, "device", (f"node_network_{name}" for name in network))
    yield from _of(node, gauge, "", ("node_load1", "node_boot_time_seconds", "node_time_seconds"))
    yield from _of(node, gauge, "", ("node_filefd_allocated", "node_filefd_maximum"))
    gpu = "gpu UUID device modelName Hostname"
    names = ("GPU_UTIL", "FB_USED", "FB_FREE", "GPU_TEMP", "POWER_USAGE", "XID_ERRORS", "MEM_COPY_UTIL")
    yield from _of(dcgm, gauge, gpu, (f"DCGM_FI_DEV_{name}" for name in names))
    yield from _of(postgres, gauge, "", ("pg_up",))
    yield from _of(postgres, gauge, "server", ("pg_settings_max_connections",))
    yield from _of(postgres, gauge, "server datname state", ("pg_stat_activity_count",))
    yield from _of(postgres, gauge, "server datname", ("pg_database_size_bytes",))
    database = ("xact_commit", "xact_rollback", "deadlocks", "blks_hit", "blks_read", "temp_bytes")
    for name in database:  # postgres_exporter has no suffix _total on its counters
        yield Metric(f"pg_stat_database_{name}", counter, postgres, frozenset({"server", "datname", "datid"}))


def _monitoring() -> Iterator[Metric]:
    for source in Source:
        yield Metric("up", Kind.GAUGE, source, frozenset())
        yield Metric("process_resident_memory_bytes", Kind.GAUGE, source, frozenset())
        yield Metric("process_cpu_seconds_total", Kind.COUNTER, source, frozenset())
        yield Metric("process_open_fds", Kind.GAUGE, source, frozenset())
        yield Metric("process_max_fds", Kind.GAUGE, source, frozenset())
        yield Metric("process_start_time_seconds", Kind.GAUGE, source, frozenset())
        yield Metric("scrape_duration_seconds", Kind.GAUGE, source, frozenset())
    gauge, counter = Kind.GAUGE, Kind.COUNTER
    of_alerts = frozenset({"alertname", "alertstate", "severity", "tier", "task_class"})
    yield Metric("ALERTS", gauge, Source.PROMETHEUS, of_alerts)
    yield Metric("ALERTS_FOR_STATE", gauge, Source.PROMETHEUS, of_alerts - {"alertstate"})
    yield from _of(Source.PROMETHEUS, gauge, "", ("prometheus_config_last_reload_successful",))
    yield from _of(Source.PROMETHEUS, counter, "rule_group", ("prometheus_rule_evaluation_failures",))
    yield from _of(Source.PROMETHEUS, gauge, "rule_group", ("prometheus_rule_group_last_duration_seconds",))
    yield from _of(Source.PROMETHEUS, gauge, "rule_group", ("prometheus_rule_group_interval_seconds",))
    yield from _of(Source.PROMETHEUS, counter, "alertmanager", ("prometheus_notifications_errors",))
    yield from _of(Source.PROMETHEUS, gauge, "", ("prometheus_notifications_alertmanagers_discovered",))
    yield from _of(Source.PROMETHEUS, gauge, "", ("prometheus_tsdb_head_series",))
    yield from _of(Source.ALERTMANAGER, gauge, "", ("alertmanager_config_last_reload_successful",))
    yield from _of(Source.ALERTMANAGER, gauge, "state", ("alertmanager_silences", "alertmanager_alerts"))
    failed = ("alertmanager_notifications_failed", "alertmanager_notifications")
    yield from _of(Source.ALERTMANAGER, counter, "integration", failed)


METRICS: tuple[Metric, ...] = (*_gateway(), *_controller(), *_engine(), *_exporters(), *_monitoring())


@cache
def by_series() -> Mapping[str, tuple[Metric, ...]]:
    """Every stored name, and the metrics that it may be of: ``up`` comes from every source."""
    found: dict[str, tuple[Metric, ...]] = {}
    for metric in METRICS:
        for name in metric.series:
            found[name] = (*found.get(name, ()), metric)
    return MappingProxyType(found)
