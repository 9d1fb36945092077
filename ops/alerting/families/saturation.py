"""Alerts on what is full: the queues, slots and KV caches of gateway and engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ops.alerting.cases import Share, Values, count_cases, counter, gauge, level_cases, near, share_cases
from ops.alerting.families.common import (
    ALL_STABLE,
    ANSWERED,
    DEGRADED,
    ENGINE_ANEW,
    EXHAUSTED,
    FREEZE,
    PARTS,
    PRESSED,
    ROLLOUTS,
    alert,
    ask,
    increase,
    levels,
    one,
    share,
    timing,
)
from ops.alerting.model import Alert, Group, Runbook, Series, Step
from ops.spec.model import Spec

ENGINE = 'job="engine",instance="10.0.0.1:8000",model_name="gratefulgpt-7b"'
MODEL = {"instance": "10.0.0.1:8000", "model_name": "gratefulgpt-7b"}
WORKER, OTHER = "10.0.0.2:9001", "10.0.0.2:9002"
OVERLOAD = "queue_max|queue_timeout_seconds"
"""Limits that refuse for want of room; the others of ``gateway_requests_refused_total`` refuse what is faulty."""
MORE_ENGINES = Step(
    "Add engines for the tier: raise its replicas where it is deployed. The way back is the former number, once the "
    "queues have been empty for an hour."
)
WAITING = ask("Do engines have queues? One alone is sick; all together are too few.", "vllm:num_requests_waiting")


def groups(spec: Spec) -> tuple[Group, ...]:
    made = (*_engine_levels(spec), *_gateway_levels(spec), *_refused(spec), *_engine_counts(spec))
    return (Group("saturation", spec.alerting.evaluation_seconds, alerts=made),)


def _engine_levels(spec: Spec) -> Iterator[Alert]:
    held = timing(spec, spec.alerting.timing.hold_seconds)
    for name, kind, bound in levels(spec.alerting.thresholds.queue_depth, ("EngineQueueDeep", DEGRADED)):
        yield alert(
            name, kind,
            f"max by (instance, model_name) (vllm:num_requests_waiting) > {bound:.10g}",
            held, ("engines", "waiting"),
            ("{{ $labels.instance }} has a long queue for {{ $labels.model_name }}",
             f"More than {bound:g} requests wait in one engine."),
            Runbook(
                meaning=f"vLLM has not begun more than {bound:g} of its requests: it gets more than it can serve.",
                impact="First tokens come late, and whole answers with them: the p95 targets are the next to break.",
                diagnosis=(WAITING, ask("Does the KV cache lack room?", "vllm:kv_cache_usage_perc"), ROLLOUTS),
                mitigation=(ENGINE_ANEW, ALL_STABLE, MORE_ENGINES),
                verification=(ask("The queues are short.", "max by (instance) (vllm:num_requests_waiting)"), ANSWERED),
            ),
            level_cases(one(f'vllm:num_requests_waiting{{{ENGINE},engine="0"}}'), *near(bound), held, (MODEL,)),
        )  # fmt: skip
    for name, kind, bound in levels(spec.alerting.thresholds.kv_cache_percent, ("KvCacheFull", PRESSED)):
        yield alert(
            name, kind,
            f"100 * max by (instance, model_name) (vllm:kv_cache_usage_perc) > {bound:.10g}",
            held, ("engines", "kv_cache"),
            ("{{ $labels.instance }} has hardly room in its KV cache",
             f"More than {bound:g} % of an engine's KV cache is in use."),
            Runbook(
                meaning="The engine has hardly blocks left for the tokens of more requests.",
                impact="New requests wait, and running ones are preempted: their prompts are computed again.",
                diagnosis=(
                    ask("Are requests preempted?", increase("vllm:num_preemptions_total", 300, "instance")),
                    ask("Are prompts longer than usual?",
                        f"{increase('vllm:request_prompt_tokens_sum', 300, 'instance')} / "
                        f"{increase('vllm:request_prompt_tokens_count', 300, 'instance')}"),
                ),
                mitigation=(ENGINE_ANEW, ALL_STABLE, MORE_ENGINES),
                verification=(ask("There is room.", "max by (instance) (vllm:kv_cache_usage_perc)"), ANSWERED),
            ),
            level_cases(one(f'vllm:kv_cache_usage_perc{{{ENGINE},engine="0"}}'), *near(bound / 100), held, (MODEL,)),
        )  # fmt: skip


def _gateway_levels(spec: Spec) -> Iterator[Alert]:
    held = timing(spec, spec.alerting.timing.hold_seconds)
    in_flight = ask("Do workers hold many requests because engines are slow?", "gateway_requests_in_flight")
    for name, kind, bound in levels(spec.alerting.thresholds.queue_depth, ("GatewayQueueDeep", DEGRADED)):
        yield alert(
            name, kind,
            f"sum by (job) (gateway_requests_queued) >= {bound:.10g}",
            held, ("gateway", "queued"),
            ("Many requests wait at the gateway for a slot",
             f"At least {bound:g} requests wait at the door of all workers together."),
            Runbook(
                meaning="All slots of the workers (api.limits.in_flight_max) are taken, and more come than go.",
                impact="Requests wait up to api.limits.queue_timeout_seconds, and then are refused.",
                diagnosis=(in_flight, WAITING, PARTS),
                mitigation=(MORE_ENGINES, ALL_STABLE, FREEZE),
                verification=(ask("Nothing waits.", "sum(gateway_requests_queued)"), ANSWERED),
            ),
            level_cases(_halves, *near(bound), held, ({"job": "gateway"},)),
        )  # fmt: skip
    for name, kind, percent in levels(spec.alerting.thresholds.in_flight_percent, ("GatewaySlotsTaken", PRESSED)):
        bound = spec.api.limits.in_flight_max * percent / 100
        yield alert(
            name, kind,
            f"max by (instance) (gateway_requests_in_flight) > {bound:.10g}",
            held, ("gateway", "in_flight"),
            ("{{ $labels.instance }} has hardly a slot left",
             f"More than {percent:g} % of a gateway worker's slots are taken."),
            Runbook(
                meaning=f"A worker holds more than {percent:g} % of api.limits.in_flight_max requests at once.",
                impact="None yet. When all slots are taken requests wait, and then they are refused.",
                diagnosis=(in_flight, WAITING, ROLLOUTS),
                mitigation=(MORE_ENGINES, FREEZE),
                verification=(ask("Slots are free.", "max(gateway_requests_in_flight)"), ANSWERED),
            ),
            level_cases(one(f'gateway_requests_in_flight{{job="gateway",instance="{WORKER}"}}'), *near(bound), held,
                        ({"instance": WORKER},)),
        )  # fmt: skip


def _refused(spec: Spec) -> Iterator[Alert]:
    window, floor, at_once = spec.alerting.timing.window_seconds, spec.alerting.floors.events, timing(spec)
    names = ("RequestsRefused", DEGRADED), ("ManyRequestsRefused", EXHAUSTED)
    for name, kind, percent in levels(spec.alerting.thresholds.refused_percent, *names):
        refused = f'gateway_requests_refused_total{{limit=~"{OVERLOAD}"}}'
        yield alert(
            name, kind,
            share(refused, "gateway_responses_total", "job", percent, window, floor),
            at_once, ("gateway", "refused"),
            ("The gateway turns requests away for want of room",
             f"More than {percent:g} % of requests found all slots and the queue taken."),
            Runbook(
                meaning="Requests are answered 429 or 503 at the door: the queue is full, or the wait in it too long.",
                impact="These users get no answer; each refusal counts against availability.",
                diagnosis=(
                    ask("By which limit?", increase("gateway_requests_refused_total", window, "limit")),
                    WAITING, PARTS, ROLLOUTS,
                ),
                mitigation=(MORE_ENGINES, ALL_STABLE, FREEZE),
                verification=(ask("Nothing waits.", "sum(gateway_requests_queued)"), ANSWERED),
            ),
            share_cases(_refusals, Share(percent, window, floor), at_once, ({"job": "gateway"},)),
        )  # fmt: skip


def _engine_counts(spec: Spec) -> Iterator[Alert]:
    thresholds, window, at_once = spec.alerting.thresholds, spec.alerting.timing.window_seconds, timing(spec)
    preempts = (
        "vllm:num_preemptions_total", "preemptions", "{{ $labels.instance }} takes running requests' memory for others",
        "vLLM took the blocks of running requests for others, because its KV cache was full.",
        "Preempted requests compute their prompt again: their tokens pause, and all others wait longer.",
        ask("How full is the KV cache?", "vllm:kv_cache_usage_perc"),
    )  # fmt: skip
    rejects = (
        "vllm:admission_rejections_total", "rejections", "{{ $labels.instance }} refuses requests by its own limits",
        "The engine itself refuses requests: a limit of its own queue is reached.",
        "The gateway tries another engine; where none is left users get an error.",
        ask("By which limit?", increase("vllm:admission_rejections_total", window, "instance, reason")),
    )  # fmt: skip
    for bounds, name, (metric, panel, summary, meaning, impact, first) in (
        (thresholds.preemptions, "EnginePreempts", preempts),
        (thresholds.engine_rejections, "EngineRejects", rejects),
    ):
        for _, kind, bound in levels(bounds, (name, DEGRADED)):
            counted = increase(metric, window, "instance, model_name")
            yield alert(
                name, kind, f"{counted} > {bound:.10g}", at_once, ("engines", panel),
                (summary, f"More than {bound:g} times in {window / 60:g} minutes."),
                Runbook(
                    meaning=meaning,
                    impact=impact,
                    diagnosis=(first, WAITING, ROLLOUTS),
                    mitigation=(MORE_ENGINES, ALL_STABLE),
                    verification=(ask("Hardly any more come.", counted), ANSWERED),
                ),
                count_cases(_of_engine(metric), bound, window, at_once, (MODEL,)),
            )  # fmt: skip


def _halves(values: Values) -> tuple[Series, ...]:
    """A queue that two workers share."""
    half = [None if value is None else value / 2 for value in values]
    return tuple(gauge(f'gateway_requests_queued{{job="gateway",instance="{name}"}}', half) for name in (WORKER, OTHER))


def _refusals(bad: Sequence[float], every: Sequence[float]) -> tuple[Series, ...]:
    """Half of the bad ones by each limit of overload; all others are refused too, but for what is in them."""
    half = [one / 2 for one in bad]
    rest = [a - b for a, b in zip(every, bad, strict=True)]
    worker = f'job="gateway",instance="{WORKER}"'
    refused = zip((*OVERLOAD.split("|"), "body_bytes_max"), (half, half, rest), strict=True)
    return (
        *(counter(f'gateway_requests_refused_total{{{worker},limit="{limit}"}}', values) for limit, values in refused),
        counter(f'gateway_responses_total{{{worker},task="chat",tier="production",status="200"}}', every),
    )


def _of_engine(metric: str) -> Callable[[Sequence[float]], tuple[Series, ...]]:
    return lambda counts: (counter(f"{metric}{{{ENGINE}}}", counts),)
