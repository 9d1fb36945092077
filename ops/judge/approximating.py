"""What the judge would say of many imagined rollouts at once: its own e-processes on one cell, side by side.

``ops.judge.simulating`` asks the real judge and takes a second a rollout; this asks the same mixtures of the same
likelihood ratios for hundreds of rollouts in about that time, so that a question can be answered while somebody waits.
What it leaves out: all classes and strata are one cell of their mean spread, the reference's rates are known from the
start, a length of prompt alone adds nothing, and the three latencies vary independently around what slows them all.
``tests/judge/test_approximating.py`` holds it against the real judge. Pure; chance is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ops.judge.evidence import (
    Boundary,
    Fallen,
    better_than,
    gains,
    log_weights,
    rates_above,
    rates_below,
    steepness,
    worse_than,
)
from ops.judge.imagining import Imagined, Traffic
from ops.judge.judging import DOUBT_E
from ops.judge.tallying import levels_of
from ops.rollout.plan import EventPlan, RolloutPlan, Then
from ops.rollout.sharing import reference_arm
from serving.contract import GRADED, OF_STREAMS, WEIGHT_TOTAL, Arm, BadEvent

LOOKS_PER_STEP_MAX = 150
"""A plan with more is looked at less often here: fewer looks delay an answer, and change no error rate."""
_SHIFT_MAX = 4.0
"""Logarithm of a slowness beyond which everything passes every cut."""
_SHIFT_POINTS = 401
_LOG_E_MAX = 700.0
_SPREAD_MIN = 0.01
"""Of logarithms within a cell, the load taken out."""
_OF_TIME = (BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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


@dataclass
class _Event:
    """One event's log-likelihood ratios in every rollout, and what a request adds to them."""

    plan: EventPlan
    part: float
    """Of the requests, those that could show it."""
    worse_gain: list[tuple[Floats, Floats]]
    """By step: what a request of the canary, of the reference, on each level adds: levels x alternatives."""
    harmless_gain: list[tuple[Floats, Floats]]
    worse: Floats
    """Rollouts x alternatives."""
    harmless: Floats
    weights_worse: Floats
    weights_harmless: Floats


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
        self.graded = [self._graded(e, rollouts) for e in plan.analysis.critical if e.event in _OF_TIME]
        self.failed = [self._yes_no(e, rollouts) for e in plan.analysis.critical if e.event is BadEvent.FAILED]
        others = [e for e in plan.analysis.critical if e.event not in GRADED and e.event is not BadEvent.FAILED]
        self.others, self.quiet = len(others), {e.tolerated_rate for e in others}
        self.needed = len(plan.analysis.critical) / plan.analysis.false_rollback_rate_max
        self.absolute = np.zeros((rollouts, rates_above(_column(0.5)).shape[1]))
        self.step, self.since = np.zeros(rollouts, np.int64), np.zeros(rollouts, np.int64)
        self.requests, self.in_step = np.zeros(rollouts, np.int64), np.zeros(rollouts, np.int64)
        self.failures = np.zeros(rollouts, np.int64)
        self.noise = {arm: chance.normal(0.0, traffic.replica_sigma, rollouts) for arm in ("canary", "reference")}
        self.load = chance.normal(0.0, traffic.load_sigma, rollouts)
        self.passing = _passing_tables(traffic, plan.analysis.level_quantiles)
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
                self._grade(event, here, number, (canary, reference), failed)
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
            event.harmless[on] = 0.0

    def _end(self, rollout: int, outcome: str, looks: int) -> None:
        step = min(int(self.step[rollout]), len(self.steps) - 1)
        self.ended[rollout] = Ended(outcome, looks * self.look_seconds, step, int(self.requests[rollout]))

    def _grade(
        self, event: _Event, here: Ints, number: int, arrived: tuple[Ints, Ints], failed: tuple[Ints, Ints]
    ) -> None:
        load = self.load[here]
        shifts = log(self.release.slower) + load + self.noise["canary"][here], load + self.noise["reference"][here]
        counts = []
        for all_of, bad, shift in zip(arrived, failed, shifts, strict=True):
            answered, never = (self.chance.binomial(some, event.part) for some in (all_of - bad, bad))
            grid, table = self.passing[event.plan.event]
            passed = np.stack([np.interp(shift, grid, column) for column in table], axis=1)
            edges = np.concatenate([np.ones((here.size, 1)), passed, np.zeros((here.size, 1))], axis=1)
            levels = self.chance.multinomial(answered, edges[:, :-1] - edges[:, 1:])
            if event.plan.event is not BadEvent.SLOW_TOKENS:
                levels[:, -1] += never  # what never answers is as slow as can be
            counts.append(levels)
        self._gain(event, here, number, counts)

    def _fail(self, here: Ints, number: int, canary: Ints, reference: Ints) -> tuple[Ints, Ints]:
        usual = self.traffic.failed_rate
        bad = self.chance.binomial(canary, min(usual + self.release.failed_rate, 1.0))
        bad_reference = self.chance.binomial(reference, usual)
        self.failures[here] += bad
        for event in self.failed:
            if self.steps[number].compared:
                self._gain(event, here, number, [bad[:, None], bad_reference[:, None]])
            if event.plan.budget_rate is not None:
                bound = max(event.plan.budget_rate, event.plan.margin * usual)
                rates = rates_above(_column(bound))[0]
                of_bad, of_good = np.log(rates / bound), np.log((1 - rates) / (1 - bound))
                self.absolute[here] += bad[:, None] * of_bad + (canary - bad)[:, None] * of_good
        return bad, bad_reference

    def _gain(self, event: _Event, here: Ints, number: int, counts: Sequence[Ints]) -> None:
        for logs, gain in ((event.worse, event.worse_gain), (event.harmless, event.harmless_gain)):
            on_canary, on_reference = gain[number]
            logs[here] += counts[0] @ on_canary + counts[1] @ on_reference

    def _against(self, here: Ints) -> Floats:
        """Of the events of which something is imagined: rollouts x events."""
        found = []
        for event in self.graded:
            found.append((_e(event.worse[here], event.weights_worse) + 1) / 2)  # no length of prompt says more
        for event in self.failed:
            worse = (_e(event.worse[here], event.weights_worse) + 1) / 2
            if event.plan.budget_rate is not None:
                worse = (worse + _e(self.absolute[here], log_weights(1, self.absolute.shape[1]))) / 2
            found.append(worse)
        return np.stack(found, axis=1) if found else np.zeros((here.size, 1))

    def _in_favour(self, here: Ints, compared: bool) -> NDArray[np.bool_]:
        """Whether every critical event has been shown to do no harm, as far as it could be."""
        needed = 1 / self.plan.analysis.false_promotion_rate_max
        shown = np.ones(here.size, dtype=bool)
        if compared:
            for event in self.graded:
                shown &= (_e(event.harmless[here], event.weights_harmless) >= needed) | (event.part == 0)
        total, bad = self.in_step[here], self.failures[here]
        for event in self.failed:
            relative = _e(event.harmless[here], event.weights_harmless) if compared else np.ones(here.size)
            shown &= _harmless(event.plan.tolerated_rate, relative, bad, total, compared) >= needed
        for tolerated in self.quiet:
            shown &= _harmless(tolerated, np.ones(here.size), np.zeros_like(bad), total, compared) >= needed
        return shown

    def _graded(self, plan: EventPlan, rollouts: int) -> _Event:
        quantiles = self.plan.analysis.level_quantiles
        rates = tuple(1 - fraction for fraction in quantiles)
        steep = _mean_steepness(self.traffic, plan.event, quantiles)
        part = self.traffic.streamed_share if plan.event in OF_STREAMS else 1.0
        return self._event(plan, part, rates, steep, rollouts)

    def _yes_no(self, plan: EventPlan, rollouts: int) -> _Event:
        return self._event(plan, 1.0, (max(self.traffic.failed_rate, 1e-6),), 1.0, rollouts)

    def _event(self, plan: EventPlan, part: float, rates: tuple[float, ...], steep: float, rollouts: int) -> _Event:
        graded = plan.event in GRADED
        boundaries = worse_than(plan.margin, graded), better_than(plan.harm)
        worse, harmless = ([_gain_per_request(at, rates, steep, step) for step in self.steps] for at in boundaries)
        levels = len(rates) + 1 if graded else 1
        sizes = worse[0][0].shape[1], harmless[0][0].shape[1]
        return _Event(
            plan,
            part,
            worse,
            harmless,
            np.zeros((rollouts, sizes[0])),
            np.zeros((rollouts, sizes[1])),
            log_weights(levels, sizes[0]),
            log_weights(levels, sizes[1]),
        )


def _step(plan: RolloutPlan, number: int, requests_per_second: float, look_seconds: float) -> _Step:
    step, pace = plan.steps[number], plan.pace
    reference = reference_arm(step, plan.analysis.load_per_replica_ratio_max)
    canary = step.weight / WEIGHT_TOTAL
    share = 0.0 if reference is None else canary if reference is Arm.BASELINE else 1 - canary
    arriving = requests_per_second * look_seconds
    least = pace.bake_seconds if number == len(plan.steps) - 1 else pace.step_seconds_min
    looks_min, looks_max = (max(1, round(seconds / look_seconds)) for seconds in (least, pace.step_seconds_max))
    return _Step(arriving * canary, arriving * share, reference is not None, looks_min, looks_max)


def _gain_per_request(at: Boundary, rates: tuple[float, ...], steep: float, step: _Step) -> tuple[Floats, Floats]:
    """What one request on each level adds, of the canary and of the reference: levels x alternatives each."""
    levels = len(rates) + 1 if len(rates) > 1 else 1
    share = step.canary / (step.canary + step.reference) if step.compared else 0.5
    nothing = (0,) * levels
    one = [tuple(int(i == level) for i in range(levels)) for level in range(levels)]
    on_canary = gains(at, [Fallen(level, nothing, share, rates, steep) for level in one])
    on_reference = gains(at, [Fallen(nothing, level, share, rates, steep) for level in one])
    return on_canary, on_reference


def _passing_tables(traffic: Traffic, quantiles: Sequence[float]) -> dict[BadEvent, tuple[Floats, list[Floats]]]:
    """By event: shifts of the logarithm, and for each cut the part that passes it at each shift."""
    grid = np.linspace(-_SHIFT_MAX, _SHIFT_MAX, _SHIFT_POINTS)
    normal = NormalDist()
    found = {}
    for event in _OF_TIME:
        spread = _mean_spread(traffic, event, quantiles)
        within = sqrt(max(spread**2 - traffic.load_sigma**2, _SPREAD_MIN**2))
        cuts = [normal.inv_cdf(fraction) * spread for fraction in quantiles]
        found[event] = grid, [np.array([1 - normal.cdf((cut - x) / within) for x in grid.tolist()]) for cut in cuts]
    return found


def _cuts_by_cell(
    traffic: Traffic, event: BadEvent, quantiles: Sequence[float]
) -> list[tuple[float, tuple[float, ...]]]:
    return [(cell.share, levels_of(traffic, cell, quantiles)[event]) for cell in traffic.cells]


def _mean_steepness(traffic: Traffic, event: BadEvent, quantiles: tuple[float, ...]) -> float:
    cells = _cuts_by_cell(traffic, event, quantiles)
    return sum(share * steepness(cuts, quantiles) for share, cuts in cells) / sum(share for share, _ in cells)


def _mean_spread(traffic: Traffic, event: BadEvent, quantiles: Sequence[float]) -> float:
    """The log-normal standard deviation within a cell."""
    ends = 0.1, 0.9
    width = NormalDist().inv_cdf(ends[1]) - NormalDist().inv_cdf(ends[0])
    cells = _cuts_by_cell(traffic, event, ends)
    return sum(share * log(cuts[1] / cuts[0]) / width for share, cuts in cells) / sum(share for share, _ in cells)


def _column(bound: float) -> Floats:
    return np.array([[bound]])


def _e(logs: Floats, weights: Floats) -> Floats:
    """The mixtures' e-values, kept below where a float overflows."""
    mixed = logs + weights
    highest = mixed.max(axis=1)
    found: Floats = np.exp(np.minimum(highest + np.log(np.exp(mixed - highest[:, None]).sum(axis=1)), _LOG_E_MAX))
    return found


def _harmless(tolerated: float | None, relative: Floats, bad: Ints, total: Ints, compared: bool) -> Floats:
    """As ``ops.judge.judging`` weighs a yes/no event: beside the reference, and against what is tolerated."""
    if tolerated is None:
        return relative if compared else np.full(len(total), np.inf)
    rates = rates_below(_column(tolerated))[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        of_bad = np.where(bad[:, None] > 0, bad[:, None] * np.log(rates / tolerated), 0.0)
    logs = of_bad + (total - bad)[:, None] * np.log((1 - rates) / (1 - tolerated))
    return (relative + _e(logs, log_weights(1, len(rates)))) / 2
