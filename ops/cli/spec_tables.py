"""The spec as tables that people like to read, and as values that are safe to show."""

from __future__ import annotations

from urllib.parse import urlsplit

from ops.cli.output import emit_table
from ops.spec.compiling import spec_digest
from ops.spec.environments import Environment
from ops.spec.faults import figure
from ops.spec.model import Spec


def shown_values(spec: Spec) -> dict[str, object]:
    """The spec's values as the file writes them, but of a webhook's address, often a secret, the host alone."""
    values = spec.model_dump(mode="json", by_alias=True)
    values["notifications"]["webhooks"] = [
        {"name": hook.name, "url": _host(hook.url)} for hook in spec.notifications.webhooks
    ]
    for hook in values["alerting"]["receivers"]["webhook"]:
        hook["url"] = hook["url"] and _host(hook["url"])
    return dict(values)


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}/..."


def emit_spec_tables(spec: Spec) -> None:
    """Prints the spec, part by part."""
    print(f"{spec.service}  (digest {spec_digest(spec)[:12]})\n")
    _serving(spec)
    _environments(spec)
    _rollout(spec)
    _promises(spec)


def _serving(spec: Spec) -> None:
    emit_table(
        "Tiers",
        ("tier", "model", "billions", "context tokens", "plans"),
        (
            (name, tier.model, _number(tier.parameters_billions), tier.context_tokens_max, ", ".join(tier.access))
            for name, tier in spec.tiers.items()
        ),
    )
    emit_table(
        "Task classes and their targets",
        ("class", "p95 ms", "first token", "token interval", "time-out s", "output tokens", "for"),
        (
            (name, _number(c.latency_p95_ms), _number(c.first_token_p95_ms), _number(c.token_interval_p95_ms),
             _number(c.timeout_seconds), c.output_tokens_max, c.description)
            for name, c in spec.task_classes.items()
        ),
    )
    emit_table(
        "Tasks",
        ("task", "path", "kind", "class", "tier", "output tokens"),
        (
            (name, t.path, t.kind, t.task_class, t.tier,
             t.output_tokens_max or spec.task_classes[t.task_class].output_tokens_max)
            for name, t in spec.api.tasks.items()
        ),
    )
    limits = spec.api.limits.model_dump()
    emit_table("Limits of a gateway worker", ("limit", "value"), ((key, _number(v)) for key, v in limits.items()))


def _environments(spec: Spec) -> None:
    emit_table(
        "Environments",
        ("environment", "replicas", "instance", "GPUs", "memory GB", "regions", "scale up above"),
        ((name, f"{e.replicas.min} to {e.replicas.max}", e.instance, f"{e.gpu.count} x {e.gpu.model}",
          _number(e.memory_gb), ", ".join(region.name for region in e.regions), _scaling(e))
         for name, e in spec.environments.items()),
    )
    emit_table(
        "Pace of a rollout, seconds",
        ("environment", "look", "step at least", "step at most", "bake", "rollback window"),
        ((name, *map(_number, e.pace.model_dump().values())) for name, e in spec.environments.items()),
    )


def _scaling(environment: Environment) -> str:
    rules = environment.autoscaling
    if rules is None:
        return ""
    return (
        f"CPU {figure(rules.cpu_percent)} %, memory {figure(rules.memory_percent)} %, "
        f"latency {figure(rules.request_latency_ms)} ms, queue {rules.queue_depth}"
    )


def _rollout(spec: Spec) -> None:
    rollout, canary, analysis = spec.rollout, spec.rollout.strategies.canary, spec.rollout.analysis
    errors = spec.targets.error_rate_percent_max
    steps = " -> ".join(f"{figure(step)} %" for step in canary.steps_percent)
    emit_table(
        "Rollout",
        ("what", "value"),
        (
            ("strategy", rollout.default_strategy),
            ("canary steps", steps),
            ("baseline beside it", f"at steps up to {figure(canary.baseline_up_to_percent)} %"),
            ("lease", f"{figure(rollout.lease_seconds)} s"),
            ("false rollbacks", f"at most {figure(analysis.false_rollback_rate_max * 100)} % of rollouts"),
            ("false promotions", f"at most {figure(analysis.false_promotion_rate_max * 100)} % of rollouts"),
            ("levels", f"cut at the quantiles {', '.join(map(figure, analysis.level_quantiles))}"),
            ("blind", f"{rollout.blind.then} after {figure(rollout.blind.seconds_max)} s"),
            ("no answer in time", rollout.inconclusive.then),
            ("webhooks", ", ".join(f"{h.name} ({_host(h.url)})" for h in spec.notifications.webhooks) or "none"),
        ),
    )
    emit_table(
        "Bad events",
        ("event", "role", "margin", "harm", "tolerated rate", "budget rate"),
        (
            (event, rule.role, *map(_number, numbers))
            for event, rule in analysis.events.items()
            for numbers in ((rule.margin, rule.harm, rule.tolerated_rate, rule.budget(errors)),)
        ),
    )


def _promises(spec: Spec) -> None:
    promised = {**spec.targets.model_dump(), **spec.recovery.model_dump(), **_prefixed("retention", spec)}
    emit_table("Targets, recovery and retention", ("what", "value"), ((key, _number(v)) for key, v in promised.items()))
    emit_table(
        "Plans",
        ("plan", "USD a month", "requests a month", "support", "models"),
        (
            (name, _number(p.price_usd_per_month, "by contract"), _number(p.requests_per_month, "unlimited"), p.support,
             p.models)
            for name, p in spec.plans.items()
        ),
    )


def _prefixed(name: str, spec: Spec) -> dict[str, object]:
    return {f"{name}_{key}": value for key, value in getattr(spec, name).model_dump().items()}


def _number(value: object, none: str = "") -> str:
    if value is None:
        return none
    if isinstance(value, bool):
        return "yes" if value else "no"
    return figure(value) if isinstance(value, int | float) else str(value)
