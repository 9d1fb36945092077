"""What vLLM counts, as plain numbers. ``exposition`` renders them; nothing here is slower than an addition.

Histograms are kept not cumulative, one more cell than bounds for what lies above the last.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from serving.engine.simulated.scheduler import Step
from serving.engine.simulated.sequence import FinishReason, Sequence

# The bounds are vLLM's (0.32, vllm/v1/metrics/buckets.py): whoever reads a dashboard must find the same ones.
REQUEST_LATENCY_BOUNDS = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip
FIRST_TOKEN_BOUNDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
INTER_TOKEN_BOUNDS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
ITERATION_TOKENS_BOUNDS = (1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0)
PARAMS_N_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0)
PREEMPTIONS_BOUNDS = (1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0)


def token_bounds(tokens_max: int) -> tuple[float, ...]:
    """1, 2, 5, 10, ... up to the model's context length."""
    series = (mantissa * 10**exponent for exponent in range(len(str(tokens_max))) for mantissa in (1, 2, 5))
    return tuple(float(value) for value in series if value <= tokens_max)


@dataclass(slots=True)
class Histogram:
    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times


class Metrics:
    """Counts since the engine started."""

    def __init__(self, context_tokens_max: int) -> None:
        tokens = token_bounds(context_tokens_max)
        self.prefix_queries = 0
        self.prefix_hits = 0
        self.preemptions = 0
        self.prompt_tokens = 0
        self.prompt_tokens_cached = 0
        self.generation_tokens = 0
        self.finished: Counter[FinishReason] = Counter()
        self.rejected: Counter[str] = Counter()
        self.first_token = Histogram(FIRST_TOKEN_BOUNDS)
        self.inter_token = Histogram(INTER_TOKEN_BOUNDS)
        self.time_per_output_token = Histogram(INTER_TOKEN_BOUNDS)
        self.end_to_end = Histogram(REQUEST_LATENCY_BOUNDS)
        self.queue_time = Histogram(REQUEST_LATENCY_BOUNDS)
        self.inference_time = Histogram(REQUEST_LATENCY_BOUNDS)
        self.prefill_time = Histogram(REQUEST_LATENCY_BOUNDS)
        self.decode_time = Histogram(REQUEST_LATENCY_BOUNDS)
        self.request_prompt_tokens = Histogram(tokens)
        self.request_generation_tokens = Histogram(tokens)
        self.request_max_generation_tokens = Histogram(tokens)
        self.request_max_tokens = Histogram(tokens)
        self.request_prefill_computed = Histogram(tokens)
        self.request_n = Histogram(PARAMS_N_BOUNDS)
        self.request_preemptions = Histogram(PREEMPTIONS_BOUNDS)
        self.iteration_tokens = Histogram(ITERATION_TOKENS_BOUNDS)

    def scheduled(self, step: Step) -> None:
        self.preemptions += step.preemptions
        for sequence in step.admitted:
            self.prefix_queries += sequence.prompt_tokens
            self.prefix_hits += sequence.cached

    def completed(self, step: Step, started: list[Sequence], finished: list[Sequence], now: float) -> None:
        """Books a step that ended now."""
        computed = 0
        for sequence in started:
            self.prompt_tokens += sequence.prompt_tokens
            self.prompt_tokens_cached += sequence.cached
            computed += sequence.prompt_tokens - sequence.cached
            self.first_token.observe(now - sequence.arrival)
            sequence.last_token_at = now
        self._between_tokens(step.decodes, now)
        generated = len(step.decodes) + len(started)
        self.generation_tokens += generated
        self.iteration_tokens.observe(computed + generated)
        for sequence in finished:
            self._finish(sequence, now)

    def _between_tokens(self, decodes: list[Sequence], now: float) -> None:
        # Nearly all of a batch had its last token at the same moment, so equal gaps are counted together.
        last, times = -1.0, 0
        for sequence in decodes:
            if sequence.last_token_at != last:
                if times:
                    self.inter_token.observe(now - last, times)
                last, times = sequence.last_token_at, 0
            times += 1
            sequence.last_token_at = now
        if times:
            self.inter_token.observe(now - last, times)

    def _finish(self, sequence: Sequence, now: float) -> None:
        scheduled = sequence.scheduled_at if sequence.scheduled_at is not None else now
        first = sequence.first_token_at if sequence.first_token_at is not None else now
        self.finished[sequence.finish_reason] += 1
        self.end_to_end.observe(now - sequence.arrival)
        self.queue_time.observe(scheduled - sequence.arrival)
        self.prefill_time.observe(first - scheduled)
        self.inference_time.observe(now - scheduled)
        self.decode_time.observe(now - first)
        gaps = sequence.produced - 1
        self.time_per_output_token.observe((now - first) / gaps if gaps else 0.0)
        self.request_prompt_tokens.observe(sequence.prompt_tokens)
        self.request_generation_tokens.observe(sequence.produced)
        self.request_prefill_computed.observe(sequence.prompt_tokens - sequence.cached)
        self.request_preemptions.observe(sequence.preemptions)

    def answered(self, n: int, max_tokens: int, longest_tokens: int) -> None:
        """Books a request (all its ``n`` choices) whose every choice has finished."""
        self.request_n.observe(n)
        self.request_max_generation_tokens.observe(longest_tokens)
        self.request_max_tokens.observe(max_tokens, n)
