"""Levels are cut from the reference's own answers, never from others, and never too early."""

from bisect import bisect_left
from dataclasses import replace
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.rollout.calibrating import calibrated, starting_point
from ops.rollout.decided import Decided
from ops.rollout.observing import Observation
from ops.rollout.planning import rollout_plan
from ops.rollout.record import Release, Rollout, Strategy, TierRecord
from serving.contract import FINE_BOUNDS, Arm, BadEvent, CounterSnapshot, MeasuredCell

TIER = "production"
SLOW, FIRST = BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN
BEFORE = {SLOW: (6.0, 7.0, 8.0, 9.0), FIRST: (6.0, 7.0, 8.0, 9.0)}
PLAN = rollout_plan(load_spec(Path(__file__).parents[2] / "gratefulgpt.yaml"), "development", TIER)
HISTORY = PLAN.analysis.level_history_min
RELEASE = Release("r", TIER, "simulated", "", "/m", (), "v1", "d", (), 0.0, "me")


def _rollout(step: int = 0) -> Rollout:
    rollout = Rollout("id", TIER, RELEASE, Strategy.CANARY, PLAN, 0.0, "me", served_step=step)
    levels = {"query": {"p0o0": BEFORE, "p0o1": BEFORE}}
    return replace(rollout, levels=levels, calibration=starting_point(rollout, step, [_snapshot()]))


def _cell(arm: Arm, stratum: str, seconds: list[float], streams: list[float]) -> MeasuredCell:
    def counts(event: BadEvent, values: list[float]) -> tuple[int, ...]:
        found = [0] * (len(FINE_BOUNDS[event]) + 1)
        for value in values:
            found[bisect_left(FINE_BOUNDS[event], value)] += 1
        return tuple(found)

    measured = {SLOW: counts(SLOW, seconds), FIRST: counts(FIRST, streams)}
    return MeasuredCell(TIER, arm, "query", stratum, measured)


def _snapshot(*cells: MeasuredCell, instance: str = "i") -> CounterSnapshot:
    return CounterSnapshot("gateway-0", instance, 0.0, (), cells)


def _after(rollout: Rollout, snapshot: CounterSnapshot) -> Rollout:
    seen = Observation(now=1.0, replicas={}, workers={}, snapshots=(snapshot,))
    return calibrated(Decided(TierRecord(TIER), rollout), seen).running


def _both(seconds: float, count: int, streams: int, stratum: str = "p0o0") -> tuple[MeasuredCell, ...]:
    return tuple(_cell(arm, stratum, [seconds] * count, [seconds / 10] * streams) for arm in (Arm.CANARY, Arm.BASELINE))


def test_levels_come_from_the_baseline_and_the_canary_has_no_say():
    canary = _cell(Arm.CANARY, "p0o0", [5.0] * 100 * HISTORY, [5.0] * 100 * HISTORY)
    times = [0.1] * 2 * HISTORY + [0.2] * HISTORY
    after = _after(_rollout(), _snapshot(canary, _cell(Arm.BASELINE, "p0o0", times, [t / 10 for t in times])))
    levels = after.levels["query"]["p0o0"]
    # Two of three answers took 0.1 s and one 0.2 s: the first cut lies at the lower, the last at the higher.
    assert [levels[SLOW][0], levels[SLOW][-1]] == [pytest.approx(0.1, rel=0.11), pytest.approx(0.2, rel=0.11)]
    assert [levels[FIRST][0], levels[FIRST][-1]] == [pytest.approx(0.01, rel=0.11), pytest.approx(0.02, rel=0.11)]


def test_stable_has_no_say_while_a_baseline_is_compared():
    cells = (*_both(0.1, 2 * HISTORY, HISTORY), _cell(Arm.STABLE, "p0o0", [5.0] * 10_000, [5.0] * 10_000))
    assert _after(_rollout(), _snapshot(*cells)).levels["query"]["p0o0"][SLOW][-1] < 0.12


def test_too_few_requests_leave_the_levels_as_they_were():
    after = _after(_rollout(), _snapshot(*_both(0.1, HISTORY, HISTORY)))
    assert after.levels["query"]["p0o0"] == BEFORE
    assert after.calibrated_requests == 0


def test_it_waits_for_streams_as_long_as_some_are_to_be_expected():
    rollout = _rollout()
    assert _after(rollout, _snapshot(*_both(0.1, 2 * HISTORY, 1))).calibrated_requests == 0
    without = _after(rollout, _snapshot(*_both(0.1, 8 * HISTORY, 0)))
    assert without.levels["query"]["p0o0"][SLOW][-1] < 0.12
    assert without.levels["query"]["p0o0"][FIRST] == BEFORE[FIRST]


def test_a_stratum_without_history_takes_its_classes():
    after = _after(_rollout(), _snapshot(*_both(0.1, 2 * HISTORY, HISTORY)))
    assert after.levels["query"]["p0o1"] == after.levels["query"]["p0o0"]


def test_what_was_answered_before_the_step_does_not_count():
    before = _snapshot(*_both(5.0, 1000, 1000))
    rollout = replace(_rollout(), calibration=starting_point(_rollout(), 0, [before]))
    assert _after(rollout, before).calibrated_requests == 0


def test_it_is_done_again_only_when_there_is_much_more_to_go_by():
    once = _after(_rollout(), _snapshot(*_both(0.1, 2 * HISTORY, HISTORY)))
    assert once.calibrated_requests == 2 * HISTORY
    assert _after(once, _snapshot(*_both(0.3, 4 * HISTORY, HISTORY))).levels == once.levels
    again = _after(once, _snapshot(*_both(0.3, 8 * HISTORY, HISTORY)))
    assert again.levels["query"]["p0o0"][SLOW][-1] > 0.25


def test_a_restarted_worker_ends_the_step_s_calibration():
    after = _after(_rollout(), _snapshot(*_both(0.1, 4 * HISTORY, HISTORY), instance="another"))
    assert after.calibration is None
    assert after.levels["query"]["p0o0"] == BEFORE


def test_where_nothing_is_compared_nothing_is_calibrated():
    assert starting_point(_rollout(), len(PLAN.steps) - 1, [_snapshot()]) is None
