"""What follows from the spec for the gateway: a ``ServingConfig``, the only thing that it reads."""

from __future__ import annotations

import hashlib
import json

from ops.spec.model import Spec
from ops.spec.serving import Task
from serving.contract import ClassConfig, LimitsConfig, ServingConfig, StrataConfig, TaskConfig, TierConfig


def spec_digest(spec: Spec) -> str:
    """SHA-256, in hex, over the spec's values: neither comments nor the order of keys change it."""
    values = spec.model_dump(mode="json", by_alias=True)
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def compile_serving(spec: Spec) -> ServingConfig:
    """The gateway's configuration. Equal digests give equal configurations: names are in alphabetical order."""
    return ServingConfig(
        service=spec.service,
        spec_digest=spec_digest(spec),
        tiers={
            name: TierConfig(model=tier.model, context_tokens_max=tier.context_tokens_max)
            for name, tier in sorted(spec.tiers.items())
        },
        tasks=tuple(_task(spec, name, task) for name, task in sorted(spec.api.tasks.items())),
        classes={
            name: ClassConfig(
                target_seconds=found.latency_p95_ms / 1000,
                timeout_seconds=found.timeout_seconds,
                first_token_target_seconds=found.first_token_p95_ms / 1000,
                token_interval_target_seconds=found.token_interval_p95_ms / 1000,
            )
            for name, found in sorted(spec.task_classes.items())
        },
        strata=StrataConfig(
            prompt_chars=spec.measuring.strata.prompt_chars, output_tokens=spec.measuring.strata.output_tokens
        ),
        limits=LimitsConfig(**spec.api.limits.model_dump()),
        latency_bounds_seconds=_seconds(spec.measuring.latency_bounds_ms),
        first_token_bounds_seconds=_seconds(spec.measuring.first_token_bounds_ms),
        token_interval_bounds_seconds=_seconds(spec.measuring.token_interval_bounds_ms),
    )


def _task(spec: Spec, name: str, task: Task) -> TaskConfig:
    cap = task.output_tokens_max
    return TaskConfig(
        name=name,
        path=task.path,
        kind=task.kind,
        task_class=task.task_class,
        output_tokens_max=spec.task_classes[task.task_class].output_tokens_max if cap is None else cap,
        tier=task.tier,
    )


def _seconds(bounds_ms: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(bound / 1000 for bound in bounds_ms)
