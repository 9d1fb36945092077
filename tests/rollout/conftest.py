"""Worlds in virtual time around the real core, and the plan of the reference spec at a pace for tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

ROOT = Path(__file__).parents[2]
# The simulated world stands beside the benchmarks that use it too; only ops and serving are installed.
sys.path.insert(0, str(ROOT))

from benchmarks.rollout_world import World  # noqa: E402 - found through the line above
from ops.adapters.spec_file import load_spec  # noqa: E402
from ops.rollout.plan import RolloutPlan  # noqa: E402
from ops.rollout.planning import rollout_plan  # noqa: E402


@pytest.fixture(scope="session")
def plan() -> RolloutPlan:
    """The reference rollout at development's pace, with two replicas."""
    return replace(rollout_plan(load_spec(ROOT / "gratefulgpt.yaml"), "development", "production"), stable_replicas=2)


@pytest.fixture
def world(plan: RolloutPlan) -> Iterator[Callable[..., World]]:
    """Builds worlds of ``plan``; what the controller's edge logs is kept out of the tests' output."""
    made: list[World] = []

    def build(**arguments: object) -> World:
        made.append(World(arguments.pop("plan", plan), **arguments))  # type: ignore[arg-type]
        return made[-1]

    with capture_logs():
        yield build
    for one in made:
        one.close()
