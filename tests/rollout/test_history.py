"""Past rollouts as evidence of replica noise: which arms are held beside each other, and what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.margins import CELLS, history, past_rollout, told_at_a_step
from ops.judge.imagining import Traffic
from ops.judge.margins import calibrated_margins, false_rollbacks, with_margins
from ops.rollout.history import is_of_use, noises, series_of
from ops.rollout.plan import Role, RolloutPlan
from ops.rollout.recorded import Told
from ops.rollout.states import State
from serving.contract import GRADED, Arm, BadEvent

BLOCK_SECONDS = 30.0


@pytest.fixture(scope="module")
def told(plan: RolloutPlan) -> list[Told]:
    traffic = Traffic(40.0, CELLS, replica_sigma=0.1)
    return told_at_a_step(plan, traffic, np.random.default_rng(1), BLOCK_SECONDS)


@pytest.mark.parametrize(
    ("state", "same", "compared"),
    [
        (State.PROMOTED, False, True),
        (State.ROLLED_BACK, True, True),
        (State.PROMOTED, True, True),
        (State.ROLLED_BACK, False, False),  # it may have been worse: that is no noise
    ],
)
def test_a_canary_counts_if_it_was_the_same_release_or_was_promoted(
    plan: RolloutPlan, told: list[Told], state: State, same: bool, compared: bool
) -> None:
    found = series_of(past_rollout(plan, 1, state, same), told, BLOCK_SECONDS)
    assert {one.event for one in found} == (set(GRADED) if compared else set())
    assert {one.same for one in found} == ({same} if compared else set())


def test_a_baseline_beside_stable_counts_only_at_alike_load(plan: RolloutPlan, told: list[Told]) -> None:
    rollout = past_rollout(replace(plan, stable_replicas=1), 1, State.ROLLED_BACK, same=False)

    def with_stable(times: int) -> list[Told]:
        """The canary's counters, ``times`` as many, as stable's."""
        found = []
        for one in told:
            (snapshot,) = one.snapshots
            stable = [
                (cell.assigned * times, cell.levels)
                for cell in snapshot.cells
                if cell.arm is Arm.CANARY
            ]
            of_canary = [cell for cell in snapshot.cells if cell.arm is Arm.CANARY]
            cells = [
                type(cell)(
                    *(cell.tier, Arm.STABLE, cell.epoch, cell.task_class, cell.stratum, assigned, assigned, assigned),
                    cell.bad,
                    levels,
                )
                for cell, (assigned, levels) in zip(of_canary, stable, strict=True)
            ]
            merged = type(snapshot)(
                snapshot.worker, snapshot.instance, snapshot.at_unix_seconds, (*snapshot.cells, *cells), ()
            )
            found.append(replace(one, snapshots=(merged,)))
        return found

    alike = series_of(rollout, with_stable(1), BLOCK_SECONDS)
    assert {one.event for one in alike} == set(GRADED)
    assert all(one.same and one.replicas == 2.0 for one in alike)
    assert series_of(rollout, with_stable(18), BLOCK_SECONDS) == ()


def test_what_was_counted_while_a_worker_was_away_or_restarted_is_left_out(plan: RolloutPlan, told: list[Told]) -> None:
    rollout = past_rollout(plan, 1, State.PROMOTED, same=False)

    def blocks(of: list[Told]) -> int:
        return sum(len(one.blocks) for one in series_of(rollout, of, BLOCK_SECONDS) if one.event is BadEvent.SLOW)

    whole = blocks(told)
    away = [replace(one, unreachable={"gateway-1": "gone"}) if i == 4 else one for i, one in enumerate(told)]
    assert blocks(away) == whole - 1  # one longer block in the place of two
    (snapshot,) = told[4].snapshots
    another = type(snapshot)(snapshot.worker, "another", snapshot.at_unix_seconds, snapshot.cells, ())
    restarted = [replace(one, snapshots=(another,)) if i == 4 else one for i, one in enumerate(told)]
    assert blocks(restarted) == whole - 2


def test_a_direct_rollout_tells_nothing(plan: RolloutPlan) -> None:
    assert not is_of_use(replace(past_rollout(plan, 1, State.PROMOTED, same=False), baseline_release=None))


@pytest.mark.parametrize("sigma", [0.0, 0.1, 0.2])
def test_from_history_to_margins_that_keep_the_promised_false_rollbacks(plan: RolloutPlan, sigma: float) -> None:
    pace = replace(plan.pace, look_seconds=5.0, step_seconds_min=60.0, step_seconds_max=1800.0)
    production = replace(plan, pace=pace)
    traffic = Traffic(20.0, CELLS, replica_sigma=sigma)
    by_event = noises(history(production, traffic, 20, seed=3))
    slow = by_event[BadEvent.SLOW]
    assert slow is not None
    assert slow.sigma == pytest.approx(sigma, abs=0.04)
    margins = calibrated_margins(production, replace(traffic, replica_sigma=0.0), by_event)
    calibrated = with_margins(production, margins)
    judged = [
        event for event in calibrated.analysis.events if event.event in GRADED and event.role is Role.CRITICAL
    ]
    least = min(event.margin for event in judged)
    assert (least > 1.15) == (sigma > 0)
    assert all(event.margin < event.harm for event in judged)
    assert all((event.margin_source is None) == (event.margin == 1.15) for event in judged)
    capped = any(event.margin_source and event.margin_source.capped for event in judged)
    assert capped == (sigma == 0.2)  # it asks for more than harm allows, and says so
    if not capped:
        promised = production.analysis.false_rollback_rate_max
        assert false_rollbacks(production, traffic, least) <= 1.5 * promised  # a thousand rollouts tell no finer


def test_too_little_history_leaves_the_spec_s_margin_and_says_so(plan: RolloutPlan) -> None:
    traffic = Traffic(20.0, CELLS, replica_sigma=0.2)
    margins = calibrated_margins(plan, traffic, noises(history(plan, traffic, 2, seed=1)))
    assert not any(margin.enough for margin in margins)
    assert with_margins(plan, margins) == plan
