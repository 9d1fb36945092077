"""Two services that differ in shape: one to tune on, one to be judged on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ops.adapters.spec_file import load_spec
from ops.judge.imagining import CellTraffic, Traffic
from ops.rollout.plan import RolloutPlan
from ops.rollout.planning import rollout_plan
from serving.contract import GRADED

SPEC = Path(__file__).parents[2] / "gratefulgpt.yaml"

TUNING = Traffic(
    20.0,
    (
        CellTraffic("generation/p0o2", 0.3, 0.3, 0.02, 60.0),
        CellTraffic("completion/p0o1", 0.4, 0.2, 0.02, 20.0),
        CellTraffic("completion/p1o1", 0.1, 0.4, 0.02, 20.0, long_prompt=True),
        CellTraffic("query/p0o0", 0.2, 0.1, 0.02, 8.0),
    ),
)
"""What the peers' thresholds are tuned on."""

EVALUATION = Traffic(
    20.0,
    (
        CellTraffic("generation/p0o3", 0.1, 0.22, 0.025, 100.0),
        CellTraffic("generation/p1o3", 0.15, 0.5, 0.027, 80.0),
        CellTraffic("completion/p0o1", 0.35, 0.16, 0.022, 26.0),
        CellTraffic("completion/p1o2", 0.1, 0.4, 0.024, 45.0),
        CellTraffic("completion/p2o1", 0.05, 1.0, 0.028, 22.0, long_prompt=True),
        CellTraffic("query/p0o0", 0.2, 0.1, 0.018, 7.0),
        CellTraffic("query/p2o0", 0.05, 0.8, 0.02, 10.0, long_prompt=True),
    ),
    first_token_sigma=0.55,
    token_sigma=0.22,
    tokens_sigma=0.5,
    load_sigma=0.25,
    load_seconds=60.0,
)
"""What every judge is measured on: other cells, wider spreads, a slower and stronger load. Nothing was chosen on it."""

NARROW_MARGIN = 1.02
"""Where replicas are known to be alike: as good as no margin."""


def reference_plan(margin: float | None = None) -> RolloutPlan:
    """The reference spec's plan of production; ``margin`` replaces that of every time (not of yes/no events)."""
    plan = rollout_plan(load_spec(SPEC), "production", "production")
    return plan if margin is None else with_margin(plan, margin)


def with_margin(plan: RolloutPlan, margin: float) -> RolloutPlan:
    events = tuple(replace(e, margin=margin) if e.event in GRADED else e for e in plan.analysis.events)
    return replace(plan, analysis=replace(plan.analysis, events=events))


def against_stable(plan: RolloutPlan) -> RolloutPlan:
    """One canary replica of 5 % beside 19 of stable: loads are alike, so no baseline is needed."""
    steps = tuple(replace(step, baseline=False) for step in plan.steps)
    return replace(plan, stable_replicas=19, steps=steps)
