"""The judge weighs all cells and events as a few arrays; one by one they must come to the same."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean

import numpy as np
import pytest

from ops.judge.counting import Cells, Counts, Difference
from ops.judge.evidence import (
    Boundary,
    Fallen,
    Profile,
    above_bound,
    better_than,
    e_of_rate,
    e_rate_below,
    e_value,
    gains,
    grown,
    steepness,
    worse_than,
)
from ops.judge.imagining import CellTraffic, Imagined, Source, Traffic
from ops.judge.judging import look
from ops.judge.model import JudgeState, Situation
from ops.judge.rules import TWO_SIDED
from ops.judge.tallying import Tally
from ops.rollout.plan import EventPlan, Role, RolloutPlan
from serving.contract import GRADED, OF_STREAMS, Arm, BadEvent

CELLS = (
    CellTraffic("generation/p0o2", 0.4, 0.3, 0.02, 60.0),
    CellTraffic("completion/p1o1", 0.3, 0.2, 0.02, 20.0),
    CellTraffic("completion/p2o1", 0.1, 0.5, 0.02, 20.0, long_prompt=True),
    CellTraffic("query/p0o0", 0.2, 0.1, 0.02, 8.0),
)
LOOKS = 30


class Plainly:
    """One profile per event, group and side, grown cell by cell."""

    def __init__(self, plan: RolloutPlan, now: Situation) -> None:
        self.analysis, self.now = plan.analysis, now
        self.worse: dict[tuple[BadEvent, str, int], Profile] = defaultdict(Profile)
        self.harmless: dict[tuple[BadEvent, int], Profile] = defaultdict(Profile)
        self.absolute: dict[BadEvent, tuple[float, ...]] = {}
        self.counted: dict[tuple[str, Arm], Counts] = defaultdict(Counts)

    def add(self, increments: Cells) -> None:
        reference_before = _sum([c for (_, arm), c in self.counted.items() if arm is Arm.BASELINE])
        for cell in sorted({cell for cell, _ in increments}):
            canary, reference = (increments.get((cell, arm), Counts()) for arm in (Arm.CANARY, Arm.BASELINE))
            earlier = self.counted[cell, Arm.BASELINE]
            for arm, counts in ((Arm.CANARY, canary), (Arm.BASELINE, reference)):
                self.counted[cell, arm] = self.counted[cell, arm].plus(counts)
            for rule in self.analysis.events:
                self._add(rule, cell, canary, reference, earlier)
        whole = _sum([counts for (_, arm), counts in increments.items() if arm is Arm.CANARY])
        for rule in self.analysis.events:
            if rule.budget_rate is not None:
                bound = self._bound(rule, reference_before)
                bad = whole.bad.get(rule.event, 0)
                points = self.absolute.get(rule.event, ())
                self.absolute[rule.event] = above_bound(points, bound, bad=bad, total=whole.assigned)

    def _add(self, rule: EventPlan, cell: str, canary: Counts, reference: Counts, earlier: Counts) -> None:
        event, quantiles = rule.event, self.analysis.level_quantiles
        if event in GRADED:
            none = (0,) * (len(quantiles) + 1)
            on_canary, on_reference = canary.levels.get(event, none), reference.levels.get(event, none)
            before = earlier.levels.get(event, none)
            rates = tuple((sum(before[i + 1 :]) + 8 * (1 - q)) / (sum(before) + 8) for i, q in enumerate(quantiles))
        else:
            on_canary, on_reference = (canary.bad.get(event, 0),), (reference.bad.get(event, 0),)
            rates = ((earlier.bad.get(event, 0) + 0.5) / (_could(earlier, event) + 2),)
        if not any(on_canary) and not any(on_reference):
            return
        arms = [_could(self.counted[cell, arm], event) for arm in (Arm.CANARY, Arm.BASELINE)]
        steep = steepness(self.now.levels_of(cell)[event], quantiles) if event in GRADED else 1.0
        fallen = [Fallen(on_canary, on_reference, arms[0] / sum(arms), rates, steep)]
        for side in (1, -1) if event in TWO_SIDED else (1,):
            for group in ("", cell.split("/")[1][:2]):
                key = (event, group, side)
                self.worse[key] = _grow(self.worse[key], worse_than(rule.margin, event in GRADED, side), fallen)
            of_step = (event, side)
            self.harmless[of_step] = _grow(self.harmless[of_step], better_than(rule.harm, side), fallen)

    def _bound(self, rule: EventPlan, reference: Counts) -> float:
        budget = rule.budget_rate or 0.0
        believed = (reference.bad.get(rule.event, 0) + 1) / (reference.assigned + 1 / budget)
        return min(max(budget, rule.margin * believed), (1 + budget) / 2)

    def weighed(self, rule: EventPlan) -> tuple[float, float]:
        """e-values against the canary and for it."""
        event, levels = rule.event, len(self.analysis.level_quantiles) + 1 if rule.event in GRADED else 1
        sides = (1, -1) if event in TWO_SIDED else (1,)

        def of_group(group: str) -> float:
            return fmean(e_value(self.worse[event, group, side], levels) for side in sides)

        worse = (of_group("") + fmean(of_group(group) for group in ("p0", "p1", "p2"))) / 2
        if rule.budget_rate is not None:
            worse = (worse + e_of_rate(self.absolute.get(event, ()))) / 2
        harmless = min(e_value(self.harmless[event, side], levels) for side in sides)
        if rule.tolerated_rate is not None:
            canary = _sum([counts for (_, arm), counts in self.counted.items() if arm is Arm.CANARY])
            bad = canary.bad.get(event, 0)
            below = e_rate_below(rule.tolerated_rate, bad=bad, total=max(bad, canary.finished))
            harmless = (harmless + below) / 2
        return worse, harmless


def _grow(profile: Profile, boundary: Boundary, fallen: list[Fallen]) -> Profile:
    return grown(profile, gains(boundary, fallen), fallen)


def _sum(many: list[Counts]) -> Counts:
    whole = Counts()
    for counts in many:
        whole = whole.plus(counts)
    return whole


def _could(counts: Counts, event: BadEvent) -> int:
    return counts.streamed if event in OF_STREAMS else counts.assigned


@pytest.mark.parametrize(
    "release",
    [Imagined(), Imagined(slower=1.2), Imagined(failed_rate=0.05, empty_rate=0.03), Imagined(longer=0.6)],
    ids=["alike", "slower", "failing", "shorter"],
)
def test_every_look_weighs_as_one_event_and_cell_at_a_time_would(plan: RolloutPlan, release: Imagined) -> None:
    traffic = Traffic(100.0, CELLS, failed_rate=0.01)
    source = Source(traffic, release, 5.0, np.random.default_rng(1))
    tally = Tally(traffic, plan.analysis.level_quantiles)
    now = Situation(0, 1, Arm.BASELINE, 1, 1, 0.0, 1e9, tally.levels)
    plainly, state = Plainly(plan, now), JudgeState()
    for i in range(LOOKS):
        for arrived in source.next([(Arm.CANARY, 0.05), (Arm.BASELINE, 0.05)], 5.0 * i):
            tally.add(arrived)
        increments = tally.until(5.0 * (i + 1))
        state, answer = look(state, Difference(increments, {}, ()), now, plan.analysis)
        plainly.add(increments)
        shown = {event.event: event for event in answer.events}
        for rule in plan.analysis.events:
            if rule.role is not Role.OFF:
                against, in_favour = plainly.weighed(rule)
                assert shown[rule.event].e_worse == pytest.approx(against, rel=1e-9), (i, rule.event)
                assert shown[rule.event].e_harmless == pytest.approx(in_favour, rel=1e-9), (i, rule.event)
