"""Renders the engine's numbers as vLLM 0.32's ``/metrics``: names, types, labels and bounds are vLLM's.

Source: vLLM 0.32, ``vllm/v1/metrics/loggers.py``; a test compares both pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.engine.simulated.engine import Engine
from serving.engine.simulated.metrics import Histogram
from serving.engine.simulated.sequence import FinishReason

FINISH_REASONS = ("stop", "length", "abort", "error", "repetition")
CACHE_SOURCES = ("device", "host", "p2p", "disk", "external_unspecified")
REJECTIONS = ("max_num_queued_reqs", "max_num_queued_tokens")


class EngineCollector(Collector):
    """Reads the engine at each scrape."""

    def __init__(self, engine: Engine, model_name: str, created_unix_seconds: float) -> None:
        self._engine = engine
        self._labels = {"model_name": model_name, "engine": "0"}
        self._model = {"model_name": model_name}
        self._created = created_unix_seconds

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        yield from self._counters()
        yield from self._histograms()
        yield self._cache_config()
        yield from self._simulated()

    def _gauge(self, name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Metric:
        rows = [({**self._labels, **labels}, value) for labels, value in samples]
        family = GaugeMetricFamily(f"vllm:{name}", text, labels=list(rows[0][0]))
        for labels, value in rows:
            family.add_metric(list(labels.values()), value)
        return family

    def _counter(self, name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Metric:
        rows = list(samples)
        family = CounterMetricFamily(f"vllm:{name}", text, labels=list(rows[0][0]))
        for labels, value in rows:
            family.add_metric(list(labels.values()), value, created=self._created)
        return family

    def _gauges(self) -> Iterator[Metric]:
        scheduler = self._engine.simulation.scheduler
        waiting = len(scheduler.waiting)
        yield self._gauge(
            "num_requests_running", "Number of requests in model execution batches.", [({}, len(scheduler.running))]
        )
        yield self._gauge("num_requests_waiting", "Number of requests waiting to be processed.", [({}, waiting)])
        yield self._gauge(
            "num_requests_waiting_by_reason",
            "Number of waiting requests by reason.",
            [({"reason": "capacity"}, waiting), ({"reason": "deferred"}, 0)],
        )
        states = (("awake", 1), ("weights_offloaded", 0), ("discard_all", 0))
        yield self._gauge("engine_sleep_state", "Engine sleep state.", [({"sleep_state": s}, v) for s, v in states])
        used = scheduler.pool.used / scheduler.pool.count
        yield self._gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", [({}, used)])

    def _counters(self) -> Iterator[Metric]:
        metrics, own = self._engine.metrics, self._labels
        hits, computed = metrics.prompt_tokens_cached, metrics.prompt_tokens - metrics.prompt_tokens_cached
        for name, text, value in (
            # What no simulated engine has stays 0, as it does on a vLLM without it.
            ("estimated_flops_per_gpu", "Estimated number of floating point operations per GPU.", 0),
            ("estimated_read_bytes_per_gpu", "Estimated number of bytes read from memory per GPU.", 0),
            ("estimated_write_bytes_per_gpu", "Estimated number of bytes written to memory per GPU.", 0),
            ("prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens.",
             metrics.prefix_queries),
            ("prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens.", metrics.prefix_hits),
            ("external_prefix_cache_queries", "External prefix cache queries, in tokens.", 0),
            ("external_prefix_cache_hits", "External prefix cache hits, in tokens.", 0),
            ("mm_cache_queries", "Multi-modal cache queries, in terms of number of queried items.", 0),
            ("mm_cache_hits", "Multi-modal cache hits, in terms of number of cached items.", 0),
            ("num_preemptions", "Cumulative number of preemption from the engine.", metrics.preemptions),
            ("prompt_tokens", "Number of prefill tokens processed.", metrics.prompt_tokens),
            ("prompt_tokens_cached", "Number of cached prompt tokens (local + external).", hits),
            ("generation_tokens", "Number of generation tokens processed.", metrics.generation_tokens),
        ):  # fmt: skip
            yield self._counter(name, text, [(own, value)])
        by_source = (("local_compute", computed), ("local_cache_hit", hits), ("external_kv_transfer", 0))
        yield self._counter(
            "prompt_tokens_by_source",
            "Number of prompt tokens by source.",
            [({**own, "source": source}, value) for source, value in by_source],
        )
        yield self._counter(
            "prompt_tokens_cached_by_source",
            "Prefix-cache hit tokens by the cache tier that supplied them.",
            [({**own, "source": one}, metrics.prefix_hits if one == "device" else 0) for one in CACHE_SOURCES],
        )
        yield self._counter(
            "request_success",
            "Count of successfully processed requests.",
            [({**own, "finished_reason": one}, self._finished(one)) for one in FINISH_REASONS],
        )
        yield self._counter(
            "admission_rejections",
            "Number of admission attempts rejected by a queue limit, by reason.",
            [({**self._model, "reason": one}, metrics.rejected[one]) for one in REJECTIONS],
        )

    def _finished(self, reason: str) -> int:
        counted = {one.value: count for one, count in self._engine.metrics.finished.items()}
        # vLLM never counts an aborted request here.
        return 0 if reason == FinishReason.ABORT else counted.get(reason, 0)

    def _histograms(self) -> Iterator[Metric]:
        metrics = self._engine.metrics
        for name, text, histogram in (
            ("request_prompt_tokens", "Number of prefill tokens processed.", metrics.request_prompt_tokens),
            ("request_generation_tokens", "Number of generation tokens processed.", metrics.request_generation_tokens),
            ("iteration_tokens_total", "Histogram of number of tokens per engine_step.", metrics.iteration_tokens),
            ("request_max_num_generation_tokens", "Histogram of maximum number of requested generation tokens.",
             metrics.request_max_generation_tokens),
            ("request_params_n", "Histogram of the n request parameter.", metrics.request_n),
            ("request_params_max_tokens", "Histogram of the max_tokens request parameter.",
             metrics.request_max_tokens),
            ("time_to_first_token_seconds", "Histogram of time to first token in seconds.", metrics.first_token),
            ("inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", metrics.inter_token),
            ("request_time_per_output_token_seconds", "Histogram of time_per_output_token_seconds per request.",
             metrics.time_per_output_token),
            ("e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", metrics.end_to_end),
            ("request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.",
             metrics.queue_time),
            ("request_inference_time_seconds", "Histogram of time spent in RUNNING phase for request.",
             metrics.inference_time),
            ("request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request.",
             metrics.prefill_time),
            ("request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.",
             metrics.decode_time),
            ("request_num_preemptions", "Histogram of the number of times a request was preempted.",
             metrics.request_preemptions),
            ("request_prefill_kv_computed_tokens", "Histogram of new KV tokens computed during prefill.",
             metrics.request_prefill_computed),
        ):  # fmt: skip
            yield self._histogram(name, text, histogram)

    def _histogram(self, name: str, text: str, histogram: Histogram) -> Metric:
        values = list(self._labels.values())
        family = HistogramMetricFamily(f"vllm:{name}", text, labels=list(self._labels))
        running, buckets = 0, []
        for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            running += count
            buckets.append((bound, running))
        family.add_metric(values, buckets, histogram.total)
        family.add_sample(f"vllm:{name}_created", self._labels, self._created)
        return family

    def _cache_config(self) -> Metric:
        profile = self._engine.profile
        tokens = profile.kv_blocks * profile.block_size
        values = {
            "_block_size_resolved": True, "block_size": profile.block_size, "cache_dtype": "auto",
            "cache_hit_alignment_tokens": None, "effective_attention_block_size": profile.block_size,
            "enable_mamba_shared_prefix_checkpoint": False, "enable_prefix_caching": profile.prefix_caching,
            "engine": 0, "gpu_memory_utilization": 0.92, "hash_block_size": None, "is_attention_free": False,
            "kv_cache_dtype_skip_layers": [], "kv_cache_layout": None,
            "kv_cache_max_concurrency": tokens / profile.max_model_len, "kv_cache_memory_bytes": None,
            "kv_cache_size_tokens": tokens, "kv_offloading_backend": "native", "kv_offloading_size": None,
            "kv_sharing_fast_prefill": False, "mamba_block_size": None, "mamba_cache_dtype": "auto",
            "mamba_cache_mode": "none", "mamba_page_size_padded": None, "mamba_ssm_cache_dtype": "float32",
            "num_cpu_blocks": None, "num_gpu_blocks": profile.kv_blocks, "num_gpu_blocks_override": None,
            "prefix_cache_retention_interval": 0, "prefix_caching_hash_algo": "sha256", "prefix_match_unit": None,
            "replayssm_buffer_len": 16, "skip_page_size_padded": None, "sliding_window": None,
            "swa_bounded_replay": True, "use_kda_recoverssm": False, "use_replayssm": False,
            "user_specified_block_size": False,
        }  # fmt: skip
        family = GaugeMetricFamily(
            "vllm:cache_config_info", "Information of the LLMEngine CacheConfig", labels=list(values)
        )
        family.add_metric([str(value) for value in values.values()], 1.0)
        return family

    def _simulated(self) -> Iterator[Metric]:
        """What no vLLM has: whether this machine kept up with the simulation."""
        yield CounterMetricFamily(
            "simulated_lost_seconds",
            "Simulated time given up because the machine was too slow; above 0, latencies are not to be trusted.",
            value=self._engine.simulation.lost_seconds,
        )


def metrics_registry(engine: Engine, model_name: str, created_unix_seconds: float) -> CollectorRegistry:
    """The engine's page: vLLM's metrics, and those of the process as every Python server has them."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(EngineCollector(engine, model_name, created_unix_seconds))
    return registry


def page(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)
