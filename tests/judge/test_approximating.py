"""The quick answer is the real judge's: both are asked about the same plan, traffic and releases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ops.judge.approximating import approximate
from ops.judge.foretelling import Ending
from ops.judge.imagining import CellTraffic, Imagined, Traffic
from ops.judge.simulating import simulate
from ops.rollout.plan import RolloutPlan

CELLS = (
    CellTraffic("completion/p0o1", 0.7, 0.15, 0.02, 80.0),
    CellTraffic("query/p0o0", 0.3, 0.1, 0.02, 20.0),
)
REAL, QUICK = 24, 400


def _rank(done: Sequence[Ending], outcome: str, of: str, part: float) -> float:
    """The ``part`` quantile of what it took, over all rollouts; infinite if so many do not end that way."""
    values = sorted(float(getattr(one, of)) for one in done if one.outcome == outcome)
    at = int(part * len(done))
    return values[at] if at < len(values) else float("inf")


def _both(plan: RolloutPlan, traffic: Traffic, release: Imagined) -> tuple[list[Ending], list[Ending]]:
    real: list[Ending] = [simulate(plan, traffic, release, np.random.default_rng(seed)) for seed in range(REAL)]
    return real, list(approximate(plan, traffic, release, np.random.default_rng(99), QUICK))


@pytest.mark.parametrize(
    ("release", "failed"),
    [(Imagined(slower=2.0), 0.0005), (Imagined(slower=1.5), 0.0005), (Imagined(failed_rate=0.1), 0.001)],
    ids=["twice-as-slow", "half-as-slow-again", "failing"],
)
def test_bad_releases_take_as_many_canary_requests_as_with_the_real_judge(
    plan: RolloutPlan, release: Imagined, failed: float
) -> None:
    real, quick = _both(plan, Traffic(20.0, CELLS, failed_rate=failed), release)
    assert {one.outcome for one in real} == {"rolled_back"}
    assert sum(one.outcome == "rolled_back" for one in quick) >= 0.98 * QUICK
    medians = [_rank(done, "rolled_back", "canary_requests", 0.5) for done in (real, quick)]
    assert medians[1] == pytest.approx(medians[0], rel=0.4), medians
    late = [_rank(done, "rolled_back", "canary_requests", 0.9) for done in (real, quick)]
    assert late[1] == pytest.approx(late[0], rel=0.5), late


def test_good_releases_take_as_long_as_with_the_real_judge(plan: RolloutPlan) -> None:
    real, quick = _both(plan, Traffic(20.0, CELLS), Imagined())
    assert sum(one.outcome == "promoted" for one in quick) >= 0.99 * QUICK
    medians = [_rank(done, "promoted", "seconds", 0.5) for done in (real, quick)]
    assert medians[1] == pytest.approx(medians[0], rel=0.2), medians


def test_too_little_traffic_pauses_and_neither_promotes_nor_rolls_back(plan: RolloutPlan) -> None:
    done = approximate(plan, Traffic(0.05, CELLS), Imagined(), np.random.default_rng(1), 50)
    assert {one.outcome for one in done} == {"paused"}


def test_replica_noise_rolls_good_releases_back_and_a_larger_margin_keeps_them(plan: RolloutPlan) -> None:
    noisy = Traffic(20.0, CELLS, replica_sigma=0.2)
    wide = replace(
        plan.analysis, events=tuple(replace(event, margin=event.margin * 1.35) for event in plan.analysis.events)
    )

    def back(of: RolloutPlan) -> float:
        done = approximate(of, noisy, Imagined(), np.random.default_rng(2), QUICK)
        return sum(one.outcome == "rolled_back" for one in done) / QUICK

    assert back(plan) > 0.05
    assert back(replace(plan, analysis=wide)) < back(plan) / 2


def test_the_same_seed_gives_the_same_rollouts(plan: RolloutPlan) -> None:
    once, again = (
        approximate(plan, Traffic(20.0, CELLS), Imagined(slower=1.5), np.random.default_rng(3), 20) for _ in range(2)
    )
    assert once == again
