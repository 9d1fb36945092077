"""How many replicas each arm gets at a step, whom the canary is compared with, and the table that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ops.rollout.plan import Step
from ops.rollout.record import Fleet, Rollout
from ops.rollout.replicas import ReplicaSpec
from serving.contract import WEIGHT_TOTAL, Arm, Endpoint, Levels, Route, RoutingTable


def reference_arm(step: Step, load_ratio_max: float) -> Arm | None:
    """Whom the canary is held against; None where load per replica cannot be alike, so only absolute tests speak."""
    if step.baseline:
        return Arm.BASELINE
    left = WEIGHT_TOTAL - step.weight
    return Arm.STABLE if left and step.weight / left <= load_ratio_max else None


def canary_count(step: Step, stable_replicas: int) -> int:
    """Replicas that carry the canary's share with the load per replica of the arm it is compared with.

    Beside a baseline of the same size any size is alike, so the share of the whole is enough. Against stable, which
    keeps all its replicas, the canary needs as many per unit of weight as stable has left: never more than all.
    """
    left = WEIGHT_TOTAL - step.weight
    if step.baseline or not left:
        wanted = _ceil(step.weight * stable_replicas, WEIGHT_TOTAL)
    else:
        wanted = _ceil(step.weight * stable_replicas, left)
    return max(1, min(wanted, stable_replicas))


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def replicas_for(rollout: Rollout, step_index: int) -> tuple[tuple[ReplicaSpec, ...], tuple[ReplicaSpec, ...]]:
    """Canary and baseline replicas that the step needs; the names depend on rollout and generation alone."""
    plan = rollout.plan
    step = plan.steps[step_index]
    count = canary_count(step, plan.stable_replicas)
    return (
        rollout.canary if rollout.reused else _named(rollout, Arm.CANARY, count),
        _named(rollout, Arm.BASELINE, count) if step.baseline else (),
    )


def _named(rollout: Rollout, arm: Arm, count: int) -> tuple[ReplicaSpec, ...]:
    release = rollout.release if arm is Arm.CANARY or rollout.baseline_release is None else rollout.baseline_release
    return tuple(
        ReplicaSpec(
            name=f"{rollout.id}-g{rollout.generation}-{arm.value}-{i}",
            tier=rollout.tier,
            model_name=rollout.plan.model_name,
            engine=release.engine,
            model_path=release.model_path,
            arguments=release.arguments,
        )
        for i in range(count)
    )


def stable_table(tier: str, fleet: Fleet, urls: Mapping[str, str], epoch: int) -> RoutingTable:
    """Everything to ``fleet``, without a lease."""
    return RoutingTable(tier, epoch, (_route(Arm.STABLE, fleet, WEIGHT_TOTAL, fleet.replicas, urls),))


def step_table(
    rollout: Rollout,
    stable: Fleet,
    urls: Mapping[str, str],
    epoch: int,
    levels: Mapping[str, Mapping[str, Levels]],
) -> RoutingTable:
    """The weights of the rollout's served step, under a lease. Raises ValueError if it serves none."""
    if rollout.served_step is None:
        raise ValueError(f"rollout {rollout.id} has no step in force")
    plan = rollout.plan
    step = plan.steps[rollout.served_step]
    canary, baseline = replicas_for(rollout, rollout.served_step)
    fleet = Fleet(rollout.release, canary)
    routes = [_route(Arm.CANARY, fleet, step.weight, canary, urls)]
    if step.baseline:
        routes.append(_route(Arm.BASELINE, stable, step.weight, baseline, urls))
    rest = WEIGHT_TOTAL - sum(route.weight for route in routes)
    return RoutingTable(
        tier=rollout.tier,
        epoch=epoch,
        routes=(_route(Arm.STABLE, stable, rest, stable.replicas, urls), *routes),
        lease_seconds=plan.lease_seconds,
        affinity=plan.affinity,
        salt=rollout.id,
        levels={name: dict(strata) for name, strata in levels.items()},
    )


def _route(arm: Arm, fleet: Fleet, weight: int, replicas: Sequence[ReplicaSpec], urls: Mapping[str, str]) -> Route:
    return Route(
        arm=arm,
        release=fleet.release.name,
        weight=weight,
        endpoints=tuple(Endpoint(replica.name, urls[replica.name]) for replica in replicas),
        template_version=fleet.release.template_version,
    )
