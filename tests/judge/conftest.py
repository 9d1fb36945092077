"""The reference spec's plan, and builders of what the judge is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.rollout.plan import RolloutPlan
from ops.rollout.planning import rollout_plan
from serving.contract import Arm, BadEvent, CounterCell, CounterSnapshot

SPEC = Path(__file__).parents[2] / "gratefulgpt.yaml"

Snapshot = Callable[..., CounterSnapshot]


@pytest.fixture(scope="session")
def plan() -> RolloutPlan:
    return rollout_plan(load_spec(SPEC), "production", "production")


@pytest.fixture(scope="session")
def snapshot() -> Snapshot:
    """A worker's counters: by default one cell of the canary."""

    def build(
        worker: str = "w1",
        *,
        assigned: int = 0,
        finished: int = 0,
        streamed: int = 0,
        bad: dict[BadEvent, int] | None = None,
        instance: str = "a",
        at: float = 100.0,
        epoch: int = 7,
        arm: Arm = Arm.CANARY,
        tier: str = "production",
        stratum: str = "p0o0",
    ) -> CounterSnapshot:
        cell = CounterCell(tier, arm, epoch, "query", stratum, assigned, finished, streamed, bad or {})
        return CounterSnapshot(worker, instance, at, (cell,), ())

    return build
