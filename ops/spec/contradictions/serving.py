"""Contradictions among tiers, classes, tasks, limits and histogram bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ops.spec.contradictions.common import at_least, at_most, reference, rising, unique
from ops.spec.draft import Draft
from ops.spec.faults import Finding, figure, quoted
from serving.contract import FINE_BOUNDS, BadEvent

RESERVED_PATHS = frozenset(
    {"/api/v1/health", "/api/v1/metrics", "/api/v1/models", "/api/v1/status", "/v1/models", "/openapi.json", "/docs"}
)
RESERVED_PREFIXES = ("/api/admin/", "/v1/models/")


@dataclass(frozen=True)
class Target:
    """A latency target of a class, the bounds that it must be one of, and what the gateway measures it as."""

    key: str
    bounds: str
    what: str
    event: BadEvent


TARGETS = (
    Target("latency_p95_ms", "latency_bounds_ms", "latency", BadEvent.SLOW),
    Target("first_token_p95_ms", "first_token_bounds_ms", "first token's", BadEvent.SLOW_FIRST_TOKEN),
    Target("token_interval_p95_ms", "token_interval_bounds_ms", "token interval's", BadEvent.SLOW_TOKENS),
)


def serving_contradictions(draft: Draft) -> Iterator[Finding]:
    yield from _tiers(draft)
    for name in draft.keys("task_classes"):
        for target in TARGETS:
            yield from _class_target(draft, name, target)
        for sooner in TARGETS[1:]:
            path, whole = ("task_classes", name, sooner.key), ("task_classes", name, TARGETS[0].key)
            yield from at_most(draft, path, whole, "target beyond that of the whole answer")
        yield from _class_times(draft, name)
    yield from _tasks(draft)
    yield from _limits(draft)
    yield from _bounds(draft)


def _tiers(draft: Draft) -> Iterator[Finding]:
    tiers = draft.keys("tiers")
    models = [(("tiers", tier, "model"), model) for tier in tiers if (model := draft.text("tiers", tier, "model"))]
    yield from unique(models, "the model")
    for path, model in models:
        if model in tiers and model != path[1]:
            yield Finding(path, f"also the name of a tier: requests for '{model}' are ambiguous", quoted(model))
    for tier in tiers:
        for i, _ in draft.texts("tiers", tier, "access"):
            yield from reference(draft, ("tiers", tier, "access", i), "plans")
        yield from unique(
            ((("tiers", tier, "access", i), plan) for i, plan in draft.texts("tiers", tier, "access")), "the plan"
        )


def _class_target(draft: Draft, name: str, of: Target) -> Iterator[Finding]:
    path = ("task_classes", name, of.key)
    target, bounds = draft.number(*path), [bound for _, bound in draft.numbers("measuring", of.bounds)]
    if target is None:
        return
    if bounds and target not in bounds:
        near = min(bounds, key=lambda bound: abs(bound - target))
        why = f"target is no bound of the {of.what} histogram"
        yield Finding(path, why, figure(target), f"one of measuring.{of.bounds}", figure(near))
    if target / 1000 > FINE_BOUNDS[of.event][-1]:
        limit = round(FINE_BOUNDS[of.event][-1] * 1000)
        yield Finding(path, "target is beyond what the gateway can measure", figure(target), f"at most {limit}")


def _class_times(draft: Draft, name: str) -> Iterator[Finding]:
    path = ("task_classes", name, "timeout_seconds")
    timeout, target = draft.number(*path), draft.number("task_classes", name, "latency_p95_ms")
    if timeout is None:
        return
    if target is not None and timeout <= target / 1000:
        why = "time-out at or below the class's target"
        yield Finding(path, why, figure(timeout), f"more than {figure(target / 1000)}")
        return
    queue = draft.number("api", "limits", "queue_timeout_seconds")
    connect = draft.number("api", "limits", "connect_timeout_seconds")
    attempts = draft.number("api", "limits", "attempts_max")
    if queue is not None and connect is not None and attempts is not None and queue + attempts * connect >= timeout:
        why = "time-out before the queue's time and the tries of api.limits can pass"
        yield Finding(path, why, figure(timeout), f"more than {figure(queue + attempts * connect)}")


def _tasks(draft: Draft) -> Iterator[Finding]:
    tasks = draft.keys("api", "tasks")
    places = [("api", "tasks", task, "path") for task in tasks]
    paths = [(place, path) for place in places if (path := draft.text(*place))]
    yield from unique(paths, "the path")
    for place, path in paths:
        if path in RESERVED_PATHS or path.startswith(RESERVED_PREFIXES):
            yield Finding(place, "path of the gateway's own", quoted(path), "a path that no other endpoint has")
    for task in tasks:
        yield from reference(draft, ("api", "tasks", task, "class"), "task_classes")
        yield from reference(draft, ("api", "tasks", task, "tier"), "tiers")
        yield from _output_cap(draft, task)


def _output_cap(draft: Draft, task: str) -> Iterator[Finding]:
    """A task's cap is within its class's, and what it may answer fits the context of its tier."""
    place = ("api", "tasks", task)
    own, class_name = (*place, "output_tokens_max"), draft.text(*place, "class")
    class_cap = ("task_classes", class_name or "", "output_tokens_max")
    yield from at_most(draft, own, class_cap, "cap above that of the task's class")
    cap = draft.number(*own)
    if cap is None and draft.at(*own) is None:
        cap = draft.number(*class_cap)
    tier = draft.text(*place, "tier") or ""
    context = draft.number("tiers", tier, "context_tokens_max")
    if cap is not None and context is not None and cap >= context:
        found_at = own if draft.number(*own) is not None else (*place, "class")
        why = f"cap leaves no room for a prompt in tier '{tier}'"
        yield Finding(found_at, why, figure(cap), f"less than {figure(context)}")


def _limits(draft: Draft) -> Iterator[Finding]:
    limits = ("api", "limits")
    yield from at_least(
        draft, (*limits, "body_bytes_max"), (*limits, "prompt_chars_max"), "body too small for the longest prompt"
    )
    for name in draft.keys("task_classes"):
        yield from at_least(
            draft,
            (*limits, "drain_timeout_seconds"),
            ("task_classes", name, "timeout_seconds"),
            "a stop would cut requests that are within their time",
        )


def _bounds(draft: Draft) -> Iterator[Finding]:
    strata = ("measuring", "strata")
    for target in TARGETS:
        yield from rising(draft, ("measuring", target.bounds))
    for name in ("prompt_chars", "output_tokens"):
        yield from rising(draft, (*strata, name))
    classes = draft.keys("task_classes")
    caps = [cap for name in classes if (cap := draft.number("task_classes", name, "output_tokens_max"))]
    limit = draft.number("api", "limits", "prompt_chars_max")
    for key, most in (("prompt_chars", limit), ("output_tokens", max(caps, default=None))):
        for i, bound in draft.numbers(*strata, key):
            if most is not None and bound >= most:
                why = "no request can exceed this bound"
                yield Finding((*strata, key, i), why, figure(bound), f"less than {figure(most)}")
