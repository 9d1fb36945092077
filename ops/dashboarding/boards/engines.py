"""Engines: what vLLM works on, what waits, how full its cache is and how fast it writes."""

from __future__ import annotations

from collections.abc import Iterator

from ops.alerting.catalogue import Source
from ops.dashboarding.boards.bounds import bounds, ratios
from ops.dashboarding.boards.choices import MODELS
from ops.dashboarding.boards.process import process_panels
from ops.dashboarding.model import BLUE, GREEN, ORANGE, PURPLE, RED, YELLOW, Dashboard, Panel, Query, Row, Shape, Unit
from ops.dashboarding.querying import MODEL, buckets, mean, quantile, rate, select, share, total
from ops.spec.model import Spec

LENGTHS = r'''le=~"[125]0{0,2}(\\.0)?|[12]000(\\.0)?|\\+Inf"'''
"""Bounds that every engine has: vLLM's go to the longest context of a model, and where one engine has more of them than
another, what the other counted above its last would stand in the wrong bucket. Longer ones are above the last."""


def dashboard(spec: Spec) -> Dashboard:
    return Dashboard(
        name="engines",
        title="Engines",
        description="What vLLM works on, what waits, how full its cache is and how fast it writes.",
        sources=(Source.ENGINE,),
        variables=(MODELS,),
        rows=(
            Row("Load", tuple(_load(spec))),
            Row("Cache", tuple(_cache(spec))),
            Row("Tokens", tuple(_tokens())),
            Row("Latency", tuple(_latency())),
            Row("Requests", tuple(_requests())),
            Row("Processes", tuple(process_panels(spec, 8))),
        ),
    )


def _load(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "up",
        "Engines up",
        "Engines that Prometheus can scrape, of those that it knows.",
        Unit.NUMBER,
        (Query(total(select("up")), "up"), Query(f"count({select('up')})", "known")),
        least=0,
        width=6,
    )
    yield Panel(
        "running",
        "Running",
        "Requests in the batches that are computed, by engine.",
        Unit.NUMBER,
        (_by_engine(select("vllm:num_requests_running", MODEL)),),
        least=0,
        width=6,
    )
    yield Panel(
        "waiting",
        "Waiting",
        "Requests that wait for room in a batch or in the cache, by engine.",
        Unit.NUMBER,
        (_by_engine(select("vllm:num_requests_waiting", MODEL)),),
        bounds=bounds(spec.alerting.thresholds.queue_depth),
        least=0,
        width=6,
    )
    yield Panel(
        "waiting_reasons",
        "Why they wait",
        "Waiting requests by reason: capacity (no room), or deferred.",
        Unit.NUMBER,
        (Query(total(select("vllm:num_requests_waiting_by_reason", MODEL), "reason"), "{{reason}}"),),
        stacked=True,
        least=0,
        width=6,
    )


def _by_engine(selector: str) -> Query:
    return Query(total(selector, "instance"), "{{instance}}")


def _cache(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "kv_cache",
        "KV cache in use",
        "Share of the cache's blocks that hold tokens. When it is full, requests are preempted.",
        Unit.RATIO,
        (
            Query(
                f"max by (instance) ({select('vllm:kv_cache_usage_perc', MODEL)})",
                "{{instance}}",
            ),
        ),
        bounds=ratios(spec.alerting.thresholds.kv_cache_percent),
        least=0,
        most=1,
        width=6,
    )
    yield Panel(
        "preemptions",
        "Preemptions",
        "Requests that were put back because the cache was full; their tokens are computed again.",
        Unit.PER_SECOND,
        (Query(rate("vllm:num_preemptions_total", MODEL, by="instance"), "{{instance}}"),),
        least=0,
        width=6,
    )
    hits = share(rate("vllm:prefix_cache_hits_total", MODEL), rate("vllm:prefix_cache_queries_total", MODEL))
    yield Panel(
        "prefix_cache",
        "Prefix cache hits",
        "Share of prompt tokens whose computation was found in the cache.",
        Unit.RATIO,
        (Query(hits, "hits"),),
        least=0,
        most=1,
        width=6,
    )
    yield Panel(
        "rejections",
        "Rejected at the queue",
        "Requests that the engine's own queue limit turned away, by reason.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("vllm:admission_rejections_total", MODEL, by="reason"), "{{reason}}"),),
        least=0,
        width=6,
    )


def _tokens() -> Iterator[Panel]:
    yield Panel(
        "tokens",
        "Tokens",
        "Tokens per second: prompts read, those of them from the cache, and answers written.",
        Unit.TOKENS_PER_SECOND,
        (
            Query(rate("vllm:prompt_tokens_total", MODEL), "prompt"),
            Query(rate("vllm:prompt_tokens_cached_total", MODEL), "prompt, cached"),
            Query(rate("vllm:generation_tokens_total", MODEL), "generation"),
        ),
        least=0,
    )
    yield Panel(
        "tokens_by_engine",
        "Tokens written, by engine",
        "An engine that writes far less than the others is ill or gets less than its share.",
        Unit.TOKENS_PER_SECOND,
        (Query(rate("vllm:generation_tokens_total", MODEL, by="instance"), "{{instance}}"),),
        least=0,
    )
    yield _heatmap("iteration_tokens", "Tokens in a step", "vllm:iteration_tokens_total", Unit.NUMBER, 8)


def _latency() -> Iterator[Panel]:
    for key, title, name in (
        ("first_token", "Time to first token", "vllm:time_to_first_token_seconds"),
        ("inter_token", "Inter-token latency", "vllm:inter_token_latency_seconds"),
        ("end_to_end", "Whole answer", "vllm:e2e_request_latency_seconds"),
    ):
        yield _heatmap(f"{key}_heatmap", title, name, Unit.SECONDS, 12)
        yield _quantiles(f"{key}_quantiles", title, name, 12)
    yield Panel(
        "phases",
        "Where the time of a request goes",
        "Mean seconds of a request in the queue, in prefill and in decode. vLLM's buckets of these begin at 0.3 s, "
        "above most requests: a percentile would say nothing.",
        Unit.SECONDS,
        tuple(
            Query(mean(f"vllm:request_{phase}_time_seconds", MODEL), phase) for phase in ("queue", "prefill", "decode")
        ),
        colours={"queue": ORANGE, "prefill": PURPLE, "decode": BLUE},
        stacked=True,
        least=0,
        width=12,
    )
    yield _quantiles("output_token_time", "Time per output token", "vllm:request_time_per_output_token_seconds", 12)


def _quantiles(key: str, title: str, name: str, width: int) -> Panel:
    parts = (0.5, 0.95, 0.99)
    return Panel(
        key,
        f"{title}: mean, p50, p95, p99",
        f"From vLLM's histogram {name}, over the engines chosen. The mean is exact; percentiles are estimated within "
        "buckets, so that below the first bound they are no more than a share of it.",
        Unit.SECONDS,
        (
            Query(mean(name, MODEL), "mean"),
            *(Query(quantile(part, name, MODEL), f"p{part * 100:.0f}") for part in parts),
        ),
        colours={"mean": BLUE, "p50": GREEN, "p95": YELLOW, "p99": RED},
        dashes={"mean": (4, 4)},
        least=0,
        width=width,
    )


def _heatmap(key: str, title: str, name: str, unit: Unit, width: int, *matchers: str) -> Panel:
    return Panel(
        key,
        title,
        f"From vLLM's histogram {name}: how many fell where.",
        unit,
        (Query(buckets(name, MODEL, *matchers), "{{le}}"),),
        shape=Shape.HEATMAP,
        width=width,
    )


def _requests() -> Iterator[Panel]:
    yield Panel(
        "finished",
        "Finished requests",
        "By the reason for which they ended: stop, length, error, abort, repetition.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("vllm:request_success_total", MODEL, by="finished_reason"), "{{finished_reason}}"),),
        colours={"stop": GREEN, "length": BLUE, "error": RED, "abort": ORANGE, "repetition": PURPLE},
        stacked=True,
        least=0,
    )
    yield _heatmap("prompt_length", "Length of prompts", "vllm:request_prompt_tokens", Unit.NUMBER, 8, LENGTHS)
    yield _heatmap("answer_length", "Length of answers", "vllm:request_generation_tokens", Unit.NUMBER, 8, LENGTHS)
