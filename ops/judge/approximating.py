"""What the judge would say of many imagined rollouts at once: its own e-processes on one cell, side by side.

``ops.judge.simulating`` asks the real judge and takes a second a rollout; this asks the same mixtures of the same
likelihood ratios for hundreds of rollouts in about that time, so that a question can be answered while somebody waits.
What it leaves out: all classes and strata are one cell of their mean spread, the reference's rates are known from the
start, a length of prompt alone adds nothing, and the three latencies vary independently around what slows them all.
``tests/judge/test_approximating.py`` holds it against the real judge. Pure; chance is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from ops.judge.contesting import Contest, Ints, add_outcomes, contest, e_tolerated, no_points
from ops.judge.evidence import e_of_points
from ops.judge.grading import Floats
from ops.judge.imagining import Imagined, Traffic
from ops.judge.judging import DOUBT_E
from ops.judge.passing import OF_TIME, mean_steepness, passing_tables
from ops.rollout.plan import EventPlan, RolloutPlan, Then
from ops.rollout.sharing import reference_arm
from serving.contract import GRADED, OF_STREAMS, WEIGHT_TOTAL, Arm, BadEvent

LOOKS_PER_STEP_MAX = 150
"""A plan with more is looked at less often here: fewer looks delay an answer, and change no error rate."""


@dataclass(frozen=True)
class Ended:
    """Of one rollout; as ``ops.judge.simulating.Simulated`` names them."""

    outcome: str
    seconds: float
    step: int
    canary_requests: int


@dataclass(frozen=True)
class _Step:
    canary: float
    """Requests a look."""
    reference: float
    compared: bool
    looks_min: int
    looks_max: int


def approximate(
    plan: RolloutPlan, traffic: Traffic, release: Imagined, chance: np.random.Generator, rollouts: int
) -> list[Ended]:
    """``rollouts`` of them. Of ``release`` its slowness and its failures count, and of ``traffic`` all but the hour."""
    return _Rollouts(plan, traffic, release, chance, rollouts).run()


class _Rollouts:
    def __init__(
        self, plan: RolloutPlan, traffic: Traffic, release: Imagined, chance: np.random.Generator, rollouts: int
    ):
        self.plan, self.traffic, self.release, self.chance = plan, traffic, release, chance
        self.look_seconds = max(plan.pace.look_seconds, plan.pace.step_seconds_max / LOOKS_PER_STEP_MAX)
        self.steps = [_step(plan, i, traffic.requests_per_second, self.look_seconds) for i in range(len(plan.steps))]
        self.graded = [self._graded(e, rollouts) for e in plan.analysis.critical if e.event in OF_TIME]
        self.failed = [self._yes_no(e, rollouts) for e in plan.analysis.critical if e.event is BadEvent.FAILED]
        others = [e for e in plan.analysis.critical if e.event not in GRADED and e.event is not BadEvent.FAILED]
        self.others, self.quiet = len(others), {e.tolerated_rate for e in others}
        self.needed = len(plan.analysis.critical) / plan.analysis.false_rollback_rate_max
        self.absolute = no_points(rollouts)
        self.step, self.since = np.zeros(rollouts, np.int64), np.zeros(rollouts, np.int64)
        self.requests, self.in_step = np.zeros(rollouts, np.int64), np.zeros(rollouts, np.int64)
        self.failures = np.zeros(rollouts, np.int64)
        self.noise = {arm: chance.normal(0.0, traffic.replica_sigma, rollouts) for arm in ("canary", "reference")}
        self.load = chance.normal(0.0, traffic.load_sigma, rollouts)
        self.passing = passing_tables(traffic, plan.analysis.level_quantiles)
        self.ended: dict[int, Ended] = {}

    def run(self) -> list[Ended]:
        active, looks = np.arange(len(self.step)), 0
        while active.size:
            looks += 1
            self._drift(active)
            for number in range(len(self.steps)):
                here = active[self.step[active] == number]
                if here.size:
                    self._look(here, number, looks)
            active = active[[i not in self.ended for i in active.tolist()]]
        return [self.ended[i] for i in range(len(self.step))]

    def _drift(self, active: Ints) -> None:
        traffic = self.traffic
        replica = traffic.replica_sigma, traffic.replica_seconds
        for of, sigma, memory in (
            (self.load, traffic.load_sigma, traffic.load_seconds),
            (self.noise["canary"], *replica),
            (self.noise["reference"], *replica),
        ):
            if sigma:
                keep = exp(-self.look_seconds / memory)
                of[active] = keep * of[active] + self.chance.normal(0.0, sqrt(1 - keep**2) * sigma, active.size)

    def _look(self, here: Ints, number: int, looks: int) -> None:
        step, analysis = self.steps[number], self.plan.analysis
        canary = self.chance.poisson(step.canary, here.size)
        reference = self.chance.poisson(step.reference, here.size)
        self.requests[here] += canary
        self.in_step[here] += canary
        self.since[here] += 1
        failed = self._fail(here, number, canary, reference)
        if step.compared:
            for event in self.graded:
                event.add(here, number, *self._levels(event, here, (canary, reference), failed))
        against = self._against(here)
        worse = against.sum(axis=1) + self.others
        harmless = self._in_favour(here, step.compared) & (against < DOUBT_E).all(axis=1)
        back = worse >= self.needed
        ready = (self.since[here] >= step.looks_min) & (self.in_step[here] >= analysis.requests_per_step_min)
        advance = ~back & ready & harmless
        late = ~back & ~advance & (self.since[here] >= max(step.looks_max, step.looks_min))
        for i in here[back].tolist():
            self._end(i, "rolled_back", looks)
        for i in here[late].tolist():
            self._end(i, "paused" if self.plan.inconclusive_then is Then.PAUSE else "rolled_back", looks)
        on = here[advance]
        if number == len(self.steps) - 1:
            for i in on.tolist():
                self._end(i, "promoted", looks)
        self.step[on] += 1
        self.since[on] = self.in_step[on] = self.failures[on] = 0
        for event in (*self.graded, *self.failed):
            event.begin_step(on)

    def _end(self, rollout: int, outcome: str, looks: int) -> None:
        step = min(int(self.step[rollout]), len(self.steps) - 1)
        self.ended[rollout] = Ended(outcome, looks * self.look_seconds, step, int(self.requests[rollout]))

    def _levels(
        self, event: Contest, here: Ints, arrived: tuple[Ints, Ints], failed: tuple[Ints, Ints]
    ) -> tuple[Ints, Ints]:
        """On how many levels the answers of the canary and of the reference fall: rollouts x levels each."""
        load = self.load[here]
        slower = log(self.release.slower) + load + self.noise["canary"][here]
        canary = self._levels_of(event, arrived[0], failed[0], slower)
        return canary, self._levels_of(event, arrived[1], failed[1], load + self.noise["reference"][here])

    def _levels_of(self, event: Contest, all_of: Ints, bad: Ints, shift: Floats) -> Ints:
        answered, never = (self.chance.binomial(some, event.part) for some in (all_of - bad, bad))
        grid, table = self.passing[event.plan.event]
        passed = np.stack([np.interp(shift, grid, column) for column in table], axis=1)
        edges = np.concatenate([np.ones((len(shift), 1)), passed, np.zeros((len(shift), 1))], axis=1)
        levels = self.chance.multinomial(answered, edges[:, :-1] - edges[:, 1:])
        if event.plan.event is not BadEvent.SLOW_TOKENS:
            levels[:, -1] += never  # what never answers is as slow as can be
        return levels

    def _fail(self, here: Ints, number: int, canary: Ints, reference: Ints) -> tuple[Ints, Ints]:
        usual = self.traffic.failed_rate
        bad = self.chance.binomial(canary, min(usual + self.release.failed_rate, 1.0))
        bad_reference = self.chance.binomial(reference, usual)
        self.failures[here] += bad
        for event in self.failed:
            if self.steps[number].compared:
                event.add(here, number, bad[:, None], bad_reference[:, None])
            if event.plan.budget_rate is not None:
                bound = max(event.plan.budget_rate, event.plan.margin * usual)
                add_outcomes(self.absolute, here, bound, bad, canary - bad)
        return bad, bad_reference

    def _against(self, here: Ints) -> Floats:
        """Of the events of which something is imagined: rollouts x events."""
        found = [event.e_worse(here) for event in self.graded]
        for event in self.failed:
            worse = event.e_worse(here)
            if event.plan.budget_rate is not None:
                worse = (worse + e_of_points(self.absolute[here])) / 2
            found.append(worse)
        return np.stack(found, axis=1) if found else np.zeros((here.size, 1))

    def _in_favour(self, here: Ints, compared: bool) -> NDArray[np.bool_]:
        """Whether every critical event has been shown to do no harm, as far as it could be."""
        needed = 1 / self.plan.analysis.false_promotion_rate_max
        shown = np.ones(here.size, dtype=bool)
        if compared:
            for event in self.graded:
                shown &= (event.e_harmless(here) >= needed) | (event.part == 0)
        total, bad = self.in_step[here], self.failures[here]
        for event in self.failed:
            relative = event.e_harmless(here) if compared else np.ones(here.size)
            shown &= e_tolerated(event.plan.tolerated_rate, relative, bad, total, compared) >= needed
        for tolerated in self.quiet:
            shown &= e_tolerated(tolerated, np.ones(here.size), np.zeros_like(bad), total, compared) >= needed
        return shown

    def _graded(self, plan: EventPlan, rollouts: int) -> Contest:
        quantiles = self.plan.analysis.level_quantiles
        rates = tuple(1 - fraction for fraction in quantiles)
        steep = mean_steepness(self.traffic, plan.event, quantiles)
        part = self.traffic.streamed_share if plan.event in OF_STREAMS else 1.0
        return contest(plan, part, rates, steep, self._shares(), rollouts)

    def _yes_no(self, plan: EventPlan, rollouts: int) -> Contest:
        return contest(plan, 1.0, (max(self.traffic.failed_rate, 1e-6),), 1.0, self._shares(), rollouts)

    def _shares(self) -> list[float]:
        return [step.canary / (step.canary + step.reference) if step.compared else 0.5 for step in self.steps]


def _step(plan: RolloutPlan, number: int, requests_per_second: float, look_seconds: float) -> _Step:
    step, pace = plan.steps[number], plan.pace
    reference = reference_arm(step, plan.analysis.load_per_replica_ratio_max)
    canary = step.weight / WEIGHT_TOTAL
    share = 0.0 if reference is None else canary if reference is Arm.BASELINE else 1 - canary
    arriving = requests_per_second * look_seconds
    least = pace.bake_seconds if number == len(plan.steps) - 1 else pace.step_seconds_min
    looks_min, looks_max = (max(1, round(seconds / look_seconds)) for seconds in (least, pace.step_seconds_max))
    return _Step(arriving * canary, arriving * share, reference is not None, looks_min, looks_max)
