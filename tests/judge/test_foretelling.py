"""Before a rollout: what is demanded is passed or failed on its figures, and what would mend a plan does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ops.judge.approximating import Ended
from ops.judge.foretelling import Ending, approximated, asked, foretell, judged, mends, named
from ops.judge.imagining import CellTraffic, Imagined, Traffic
from ops.rollout.plan import Demand, DetectionPlan, RolloutPlan
from ops.verdict import Outcome

CELLS = (CellTraffic("completion/p0o1", 0.7, 0.15, 0.02, 80.0), CellTraffic("query/p0o0", 0.3, 0.1, 0.02, 20.0))
TWICE = Demand(slower=2.0, canary_requests_max=100)


def _demanding(plan: RolloutPlan, *demands: Demand) -> RolloutPlan:
    return replace(plan, analysis=replace(plan.analysis, detection=DetectionPlan(0.9, demands, 60.0)))


def _told(*ended: Ended) -> Sequence[Ending]:
    return ended


@pytest.mark.parametrize(("late", "outcome"), [(0, Outcome.PASS), (1, Outcome.PASS), (2, Outcome.FAIL)])
def test_a_demand_is_met_by_the_part_that_is_rolled_back_in_time(
    plan: RolloutPlan, late: int, outcome: Outcome
) -> None:
    plan = _demanding(plan, TWICE)
    in_time, too_late = Ended("rolled_back", 60.0, 0, 100), Ended("rolled_back", 90.0, 0, 101)
    endings = _told(*[in_time] * (10 - late), *[too_late] * late)
    found = foretell(plan, Traffic(20.0, CELLS), TWICE, lambda *_: endings)
    verdict = judged(plan, [found])
    assert verdict.outcome is outcome
    assert f"{found.in_time:.0%} of 10" in verdict.evidence[0].text


def test_a_release_that_is_paused_or_promoted_was_not_caught(plan: RolloutPlan) -> None:
    plan = _demanding(plan, Demand(slower=1.5))
    others = Ended("paused", 1800.0, 0, 9), Ended("promoted", 9.0, 2, 9)
    endings = _told(*[Ended("rolled_back", 60.0, 1, 9)] * 5, *others)
    found = foretell(plan, Traffic(20.0, CELLS), Demand(slower=1.5), lambda *_: endings)
    assert (found.in_time, found.seconds_p50, found.seconds_power) == (5 / 7, 60.0, None)
    assert (found.step, found.paused, found.promoted) == (1, 1 / 7, 1 / 7)
    assert judged(plan, [found]).outcome is Outcome.FAIL


def test_where_nothing_is_demanded_nothing_is_passed(plan: RolloutPlan) -> None:
    assert judged(_demanding(plan), []).outcome is Outcome.INCONCLUSIVE


def test_what_is_demanded_is_foretold_beside_what_people_ask(plan: RolloutPlan) -> None:
    demand = Demand(slower=3.0)
    found = asked(_demanding(plan, demand, TWICE))
    assert found[0] == Demand()
    assert {demand, TWICE, Demand(slower=1.2)} <= set(found)
    assert Demand(slower=2.0) not in found  # demanded within so many requests, so foretold with them


def test_failures_are_foretold_on_top_of_those_that_every_arm_has(plan: RolloutPlan) -> None:
    seen: list[tuple[float, float]] = []

    def rehearse(_: RolloutPlan, traffic: Traffic, release: Imagined) -> Sequence[Ending]:
        seen.append((traffic.failed_rate, release.failed_rate))
        return _told(Ended("promoted", 1.0, 2, 1))

    foretell(plan, Traffic(20.0, CELLS), Demand(failed_from=0.01, failed_to=0.05), rehearse)
    assert seen == [(0.01, pytest.approx(0.04))]
    assert named(Demand(failed_from=0.01, failed_to=0.05)) == "failing 5 % instead of 1 %"


def test_the_reference_plan_meets_its_own_demands_at_20_requests_a_second_and_not_at_1(plan: RolloutPlan) -> None:
    def verdict(rate: float) -> Outcome:
        traffic, demands = Traffic(rate, CELLS), plan.analysis.detection.demands
        return judged(plan, [foretell(plan, traffic, demand, approximated()) for demand in demands]).outcome

    assert verdict(20.0) is Outcome.PASS
    assert verdict(1.0) is Outcome.FAIL


def test_a_plan_that_falls_short_is_told_what_would_do(plan: RolloutPlan) -> None:
    plan = _demanding(plan, TWICE)
    plan = replace(plan, pace=replace(plan.pace, step_seconds_max=120.0))
    found = list(mends(plan, Traffic(4.0, CELLS)))
    assert any(text.startswith("step_seconds_max ") for text in found), found
    seconds = float(next(text for text in found if text.startswith("step_seconds_max ")).split()[1])
    mended = replace(plan, pace=replace(plan.pace, step_seconds_max=seconds))
    assert foretell(mended, Traffic(4.0, CELLS), TWICE, approximated()).in_time >= 0.87
    assert any("requests a second" in text for text in found), found
