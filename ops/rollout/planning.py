"""From the spec to the plan that a rollout is frozen with."""

from __future__ import annotations

from ops.rollout.plan import (
    JUDGE_VERSION,
    AnalysisPlan,
    CalibrationPlan,
    DamagePlan,
    Demand,
    DetectionPlan,
    EventPlan,
    LikelihoodPlan,
    Pace,
    QualityPlan,
    Role,
    RolloutPlan,
    Step,
    Then,
    Warmup,
)
from ops.spec.compiling import spec_digest
from ops.spec.model import Spec
from serving.contract import WEIGHT_TOTAL, StrataConfig


def rollout_plan(spec: Spec, environment: str, tier: str) -> RolloutPlan:
    """Raises KeyError if the spec knows no such environment or tier."""
    rollout, where = spec.rollout, spec.environments[environment]
    canary = rollout.strategies.canary
    strata = spec.measuring.strata
    return RolloutPlan(
        spec_digest=spec_digest(spec),
        judge_version=JUDGE_VERSION,
        environment=environment,
        model_name=spec.tiers[tier].model,
        stable_replicas=where.replicas.min,
        steps=tuple(
            Step(weight=round(percent * WEIGHT_TOTAL / 100), baseline=percent <= canary.baseline_up_to_percent)
            for percent in canary.steps_percent
        ),
        pace=Pace(**where.pace.model_dump()),
        analysis=_analysis(spec),
        warmup=Warmup(**rollout.warmup.model_dump()),
        lease_seconds=rollout.lease_seconds,
        prepare_seconds_max=rollout.prepare_seconds_max,
        drain_seconds_max=rollout.drain_seconds_max,
        blind_seconds_max=rollout.blind.seconds_max,
        blind_then=Then(rollout.blind.then),
        inconclusive_then=Then(rollout.inconclusive.then),
        affinity=rollout.affinity,
        latency_targets={name: part.latency_p95_ms / 1000 for name, part in spec.task_classes.items()},
        strata=StrataConfig(tuple(strata.prompt_chars), tuple(strata.output_tokens)).labels,
        quality=quality_plan(spec),
    )


def quality_plan(spec: Spec) -> QualityPlan:
    quality = spec.rollout.quality
    damage, likelihood = quality.damage.model_dump(), quality.likelihood.model_dump()
    return QualityPlan(
        **quality.model_dump(exclude={"damage", "likelihood"}),
        damage=DamagePlan(**damage | {"role": Role(damage["role"])}),
        likelihood=LikelihoodPlan(**likelihood | {"role": Role(likelihood["role"])}),
    )


def _analysis(spec: Spec) -> AnalysisPlan:
    values = spec.rollout.analysis.model_dump(exclude={"events", "detection", "calibration"})
    events = (
        EventPlan(
            event=event,
            role=Role(rule.role),
            margin=rule.margin,
            harm=rule.harm,
            tolerated_rate=rule.tolerated_rate,
            budget_rate=rule.budget(spec.targets.error_rate_percent_max),
        )
        for event, rule in spec.rollout.analysis.events.items()
    )
    return AnalysisPlan(
        **values,
        prompt_groups=len(spec.measuring.strata.prompt_chars) + 1,
        events=tuple(events),
        detection=_detection(spec),
        calibration=CalibrationPlan(**spec.rollout.analysis.calibration.model_dump()),
    )


def _detection(spec: Spec) -> DetectionPlan:
    rule = spec.rollout.analysis.detection
    slower = (Demand(slower=one.times, canary_requests_max=one.canary_requests_max) for one in rule.slower)
    errors = (
        Demand(
            failed_from=one.from_percent / 100,
            failed_to=one.to_percent / 100,
            canary_requests_max=one.canary_requests_max,
        )
        for one in rule.errors
    )
    return DetectionPlan(rule.power, (*slower, *errors), rule.traffic_seconds_min)
