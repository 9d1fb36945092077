"""The reference spec holds every figure of the deployment strategy that a machine can use."""

from __future__ import annotations

from operator import attrgetter

import pytest

from ops.spec.model import Spec


def test_the_tiers_have_the_models_of_the_strategy(reference: Spec) -> None:
    assert {name: tier.parameters_billions for name, tier in reference.tiers.items()} == {
        "research": 70,
        "production": 7,
        "edge": 1.3,
        "community": None,
    }


def test_the_latency_targets_are_2000_1000_and_500_ms(reference: Spec) -> None:
    assert {name: found.latency_p95_ms for name, found in reference.task_classes.items()} == {
        "generation": 2000,
        "completion": 1000,
        "query": 500,
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("availability_percent", 99.9),
        ("error_rate_percent_max", 0.1),
        ("users_concurrent", 10_000),
        ("requests_per_second", 1_000),
        ("tokens_per_second", 100_000),
        ("recovery_seconds_max", 3_600),
    ],
)
def test_the_targets_are_those_of_the_strategy(reference: Spec, path: str, value: float) -> None:
    assert getattr(reference.targets, path) == value


@pytest.mark.parametrize(
    ("environment", "path", "value"),
    [
        ("production", "replicas.min", 10),
        ("production", "replicas.max", 50),
        ("production", "instance", "gpu.a100.8xlarge"),
        ("production", "gpu.count", 8),
        ("production", "gpu.memory_gb", 640),
        ("production", "gpu.model", "A100-80GB"),
        ("production", "memory_gb", 512),
        ("production", "storage.size_tb", 10),
        ("production", "network_gbps", 100),
        ("production", "autoscaling.cpu_percent", 70),
        ("production", "autoscaling.memory_percent", 80),
        ("production", "autoscaling.request_latency_ms", 2000),
        ("production", "autoscaling.queue_depth", 100),
        ("staging", "replicas.min", 2),
        ("staging", "replicas.max", 5),
        ("staging", "instance", "gpu.a100.2xlarge"),
        ("staging", "gpu.count", 2),
        ("staging", "gpu.memory_gb", 160),
        ("staging", "memory_gb", 128),
        ("development", "replicas.min", 1),
        ("development", "replicas.max", 2),
        ("development", "instance", "gpu.v100.xlarge"),
        ("development", "gpu.memory_gb", 32),
        ("development", "memory_gb", 64),
    ],
)
def test_the_environments_are_those_of_the_strategy(
    reference: Spec, environment: str, path: str, value: object
) -> None:
    assert attrgetter(path)(reference.environments[environment]) == value


def test_production_runs_in_four_regions_with_one_primary(reference: Spec) -> None:
    assert [(region.name, region.role) for region in reference.environments["production"].regions] == [
        ("us-east-1", "primary"),
        ("us-west-2", "secondary"),
        ("eu-west-1", "regional"),
        ("ap-southeast-1", "regional"),
    ]


def test_every_endpoint_of_the_strategy_is_a_task(reference: Spec) -> None:
    assert {
        f"/api/v1/{path}"
        for path in (
            "generate",
            "complete",
            "chat",
            "setlist/predict",
            "setlist/analyze",
            "lyrics/analyze",
            "lyrics/generate",
            "history/query",
            "community/stories",
        )
    } <= {task.path for task in reference.api.tasks.values()}


def test_the_canary_goes_in_steps_of_5_50_and_100_percent(reference: Spec) -> None:
    assert reference.rollout.strategies.canary.steps_percent == (5, 50, 100)


def test_an_error_rate_of_5_percent_is_critical(reference: Spec) -> None:
    assert reference.alerting.thresholds.error_rate_percent.critical == 5


def test_each_severity_has_the_four_categories_of_the_strategy_before_those_chosen(reference: Spec) -> None:
    categories = reference.alerting.categories
    critical = [name for name in categories.critical if name != "missed-target"]  # chosen
    assert critical == ["service-downtime", "high-error-rate", "resource-exhaustion", "security-incident"]
    warnings = ("performance-degradation", "resource-pressure", "unusual-usage", "model-quality")
    assert categories.warning == (*warnings, "control-plane", "monitoring")
    infos = ("deployment", "scale-event", "maintenance-window", "usage-milestone")
    assert categories.info == (*infos, "heartbeat")


def test_the_plans_have_the_prices_and_quotas_of_the_strategy(reference: Spec) -> None:
    assert {name: (plan.price_usd_per_month, plan.requests_per_month) for name, plan in reference.plans.items()} == {
        "free": (0, 1_000),
        "researcher": (50, 10_000),
        "developer": (200, 50_000),
        "enterprise": (None, None),
    }


def test_recovery_takes_an_hour_loses_15_minutes_and_keeps_90_days(reference: Spec) -> None:
    recovery = reference.recovery
    assert (recovery.rto_seconds, recovery.rpo_seconds, recovery.retention_days) == (3600, 900, 90)
    assert recovery.snapshot_interval_hours == 24
    assert recovery.replicated_across_regions
    assert reference.retention.model_versions_days == 90


def test_staging_takes_its_pace_from_productions_anchor(reference: Spec) -> None:
    assert reference.environments["staging"].pace == reference.environments["production"].pace
