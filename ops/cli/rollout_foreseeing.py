"""What ``ops canary plan`` does: traffic as told or as measured, rollouts imagined on it, the answer shown."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import numpy as np

from ops.adapters.spec_file import load_spec
from ops.cli.output import emit_json, emit_table, fail_usage, progress
from ops.cli.rollout_access import ask, find_controller
from ops.judge.foretelling import Foretold, Rehearse, approximated, asked, foretell, judged, mends, named
from ops.judge.imagining import CellTraffic, Imagined, Traffic
from ops.judge.metering import Metered
from ops.judge.simulating import Simulated, simulate
from ops.rollout.plan import Demand, RolloutPlan
from ops.rollout.planning import rollout_plan
from ops.spec.model import Spec
from ops.verdict import Evidence, Outcome, Verdict
from serving.contract import WEIGHT_TOTAL

SCHEMA = "gratefulgpt.canary.plan/1"
DEFAULT_SPEC = Path("gratefulgpt.yaml")
DEFAULT_ENVIRONMENT = "production"
_STEP_LOOKS_MAX = 150
"""The real judge is asked at most so often a step: looks cost time here, and fewer only delay its answer."""
_FIRST_TOKEN_PART, _TOKENS = 0.2, 100.0
_TARGET_PART = 0.4
"""Of a class's target: a median, where only the rate is told. What a release is compared with has no unit."""


@dataclass(frozen=True)
class Asked:
    """Which plan, of which spec."""

    spec: Spec
    tier: str
    plan: RolloutPlan


def plan_for(spec_path: Path | None, environment: str | None, tier: str, run_dir: Path) -> Asked:
    """The spec and the environment named, or the running stack's, or the reference. Raises SpecError, CommandError."""
    stack_spec, stack_environment = _of_stack(run_dir)
    spec = load_spec(spec_path or stack_spec or DEFAULT_SPEC)
    where = environment or stack_environment or DEFAULT_ENVIRONMENT
    if where not in spec.environments:
        fail_usage(f"no environment {where}; the spec has {', '.join(spec.environments)}")
    if tier not in spec.tiers:
        fail_usage(f"no tier {tier}; the spec has {', '.join(spec.tiers)}")
    return Asked(spec, tier, rollout_plan(spec, where, tier))


def _of_stack(run_dir: Path) -> tuple[Path | None, str | None]:
    from ops.stack.state import StackError, load_stack

    try:
        stack = load_stack(run_dir)
    except StackError:
        return None, None
    return Path(stack.spec_path), stack.environment


def given_traffic(of: Asked, rps: float, mix: str | None) -> Metered:
    """As told on the command line; spreads are the simulation's own."""
    shares = _shares(of, mix) if mix else {f"{name}/{of.plan.strata[0]}": 1.0 for name in of.plan.latency_targets}
    whole = sum(shares.values())
    cells = tuple(_told(of, name, share / whole) for name, share in shares.items())
    return Metered(0.0, 0, Traffic(rps, cells))


def _shares(of: Asked, mix: str) -> dict[str, float]:
    found = {}
    for part in mix.split(","):
        name, _, share = part.strip().partition("=")
        task_class, _, stratum = name.partition("/")
        if task_class not in of.plan.latency_targets or stratum not in of.plan.strata:
            classes, strata = ", ".join(of.plan.latency_targets), ", ".join(of.plan.strata)
            fail_usage(f"--mix: no cell {name!r}; CLASS/STRATUM of {classes} and {strata}")
        try:
            found[name] = float(share)
        except ValueError:
            fail_usage(f"--mix: {part.strip()!r} is no CELL=SHARE")
        if not 0 < found[name] < float("inf"):
            fail_usage(f"--mix: the share of {name} must be above 0")
    return found


def _told(of: Asked, name: str, share: float) -> CellTraffic:
    task_class = name.partition("/")[0]
    median = of.plan.latency_targets[task_class] * _TARGET_PART
    first = median * _FIRST_TOKEN_PART
    return CellTraffic(name, share, first, (median - first) / _TOKENS, _TOKENS, _timeout(of, task_class))


def measured_traffic(of: Asked, run_dir: Path, controller: str | None) -> Metered:
    """By the controller, over its last minutes. Raises CommandError where none runs."""
    found = ask(find_controller(run_dir, controller), lambda client: client.traffic(of.tier))
    if found.traffic is None:
        return found
    cells = tuple(
        replace(cell, timeout_seconds=_timeout(of, cell.name.partition("/")[0])) for cell in found.traffic.cells
    )
    return replace(found, traffic=replace(found.traffic, cells=cells))


def _timeout(of: Asked, task_class: str) -> float:
    found = of.spec.task_classes.get(task_class)
    return found.timeout_seconds if found else max(of.plan.latency_targets.values())


def report_plan(of: Asked, seen: Metered, rollouts: int, json: bool) -> Verdict:
    """Foretells, shows, and answers whether the plan catches what is demanded."""
    least = of.plan.analysis.detection.traffic_seconds_min
    measured = seen.seconds > 0 or seen.traffic is None
    if seen.traffic is None or (measured and seen.seconds < least):
        words = f"{seen.requests} requests in {seen.seconds:.0f} s of watching, at least {least:g} s needed: too little"
        verdict = Verdict(Outcome.INCONCLUSIVE, (Evidence(f"{words} to say; give --rps"),))
        _show(of, seen, verdict, (), None, (), json)
        return verdict
    traffic = seen.traffic
    foretold = tuple(foretell(of.plan, traffic, demand, approximated()) for demand in asked(of.plan))
    verdict = judged(of.plan, foretold)
    real = _real(of.plan, traffic, rollouts) if rollouts else None
    wanted = tuple(mends(of.plan, traffic)) if verdict.outcome is Outcome.FAIL else ()
    _show(of, seen, verdict, foretold, real, wanted, json)
    return verdict


# --- The real judge ---------------------------------------------------------------------------------------------


def _real(plan: RolloutPlan, traffic: Traffic, rollouts: int) -> tuple[Foretold, ...]:
    look_seconds = max(plan.pace.look_seconds, plan.pace.step_seconds_max / _STEP_LOOKS_MAX)
    plan = replace(plan, pace=replace(plan.pace, look_seconds=look_seconds))
    found = []
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn")) as pool:
        for demand in asked(plan):
            found.append(foretell(plan, traffic, demand, _simulated(pool, rollouts)))
            progress(f"{rollouts} rollouts of a release {named(demand)}: the real judge asked")
    return tuple(found)


def _simulated(pool: ProcessPoolExecutor, rollouts: int) -> Rehearse:
    def rehearse(plan: RolloutPlan, traffic: Traffic, release: Imagined) -> Sequence[Simulated]:
        return list(pool.map(partial(_simulate, plan, traffic, release), range(rollouts), chunksize=4))

    return rehearse


def _simulate(plan: RolloutPlan, traffic: Traffic, release: Imagined, seed: int) -> Simulated:
    return simulate(plan, traffic, release, np.random.default_rng(seed))


# --- Showing ----------------------------------------------------------------------------------------------------


def _show(
    of: Asked,
    seen: Metered,
    verdict: Verdict,
    foretold: tuple[Foretold, ...],
    real: tuple[Foretold, ...] | None,
    wanted: tuple[str, ...],
    json: bool,
) -> None:
    plan = of.plan
    if json:
        data = {
            "tier": of.tier,
            "environment": plan.environment,
            "spec": plan.spec_digest,
            "judge": plan.judge_version,
            "traffic": seen,
            "detection": plan.analysis.detection,
            "verdict": verdict.to_json(),
            "foretold": foretold,
            "real_judge": real,
            "mends": wanted,
        }
        emit_json(SCHEMA, data)
        return
    if seen.traffic is not None and foretold:
        emit_table(_title(of, seen, seen.traffic), _columns(plan), [_row(one) for one in foretold])
    if real:
        emit_table(f"the real judge, {real[0].rollouts} rollouts each", _columns(plan), [_row(one) for one in real])
    print(f"{verdict.outcome.value}: what the spec demands to be detected in {plan.environment}")
    for item in verdict.evidence:
        print(f"  {item.text}")
    for mend in wanted:
        print(f"  would do: {mend}")
    if verdict.outcome is Outcome.FAIL and not wanted:
        print("  no change of times or of the first step, and no 64 times the traffic, would do: demand less of it")


def _title(of: Asked, seen: Metered, traffic: Traffic) -> str:
    steps = ", ".join(f"{step.weight * 100 / WEIGHT_TOTAL:g} %" for step in of.plan.steps)
    how = f"measured over {seen.seconds:.0f} s" if seen.seconds else "as told"
    return f"{of.tier} in {of.plan.environment}: {traffic.requests_per_second:.3g} requests a second {how}, by {steps}"


def _columns(plan: RolloutPlan) -> tuple[str, ...]:
    at = f"p{plan.analysis.detection.power * 100:g}"
    return (
        "a release that is",
        "rolled back",
        "promoted",
        "paused",
        f"seconds, p50 / {at}",
        f"canary requests, p50 / {at}",
        "in step",
    )


def _row(one: Foretold) -> tuple[object, ...]:
    return (
        named(one.demand) + (" (promotion)" if one.demand == Demand() else ""),
        f"{one.rolled_back:.1%}",
        f"{one.promoted:.1%}",
        f"{one.paused:.1%}",
        f"{_figure(one.seconds_p50)} / {_figure(one.seconds_power)}",
        f"{_figure(one.canary_requests_p50)} / {_figure(one.canary_requests_power)}",
        "-" if one.step is None else one.step + 1,
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
