"""Before a rollout: what becomes of a good release and of bad ones, at this traffic and by this plan.

Figures come from many imagined rollouts (``approximating``, or the real judge in ``simulating``), with fixed seeds.
Pure: the verdict on a plan is about what its spec demands to be detected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Protocol

import numpy as np

from ops.judge.approximating import approximate
from ops.judge.imagining import Imagined, Traffic
from ops.rollout.plan import Demand, RolloutPlan, Step
from ops.verdict import Evidence, Outcome, Verdict
from serving.contract import WEIGHT_TOTAL

ASKED_ALWAYS = (Demand(slower=1.2), Demand(slower=1.5), Demand(slower=2.0), Demand(failed_from=0.001, failed_to=0.01))
"""Releases that people ask about, whatever the spec demands."""
SEED = 20_261_125
ROLLOUTS = 400
"""A power of 90 % is then told to within 3 points."""
_ROLLOUTS_OF_A_MEND = 200
_TIMES_LONGER = (2, 4, 8)
_FIRST_WEIGHTS = (1000, 2500)
_TIMES_TRAFFIC = (2, 4, 8, 16, 32, 64)
_MENDED_WEIGHT_MAX = 2500


class Ending(Protocol):
    """Of one imagined rollout."""

    @property
    def outcome(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def step(self) -> int: ...
    @property
    def canary_requests(self) -> int: ...


Rehearse = Callable[[RolloutPlan, Traffic, Imagined], Sequence[Ending]]
"""Many rollouts of an imagined release."""


@dataclass(frozen=True)
class Foretold:
    """Of one kind of release. Quantiles over all rollouts; None where so many do not end that way at all."""

    demand: Demand
    """``Demand()`` is a good release."""
    rollouts: int
    rolled_back: float
    """As parts of the rollouts, as are the next two."""
    promoted: float
    paused: float
    in_time: float
    """Rolled back within the canary requests that the demand allows."""
    seconds_p50: float | None
    """To the rollback; to the promotion of a good one."""
    seconds_power: float | None
    """The same at the detection's power (0.9: the 90th percentile)."""
    canary_requests_p50: float | None
    canary_requests_power: float | None
    step: int | None
    """In which most of them end so, from 0."""


def approximated(rollouts: int = ROLLOUTS) -> Rehearse:
    """The judge's e-processes on imagined counts: some tenths of a second per kind of release."""

    def rehearse(plan: RolloutPlan, traffic: Traffic, release: Imagined) -> Sequence[Ending]:
        return approximate(plan, traffic, release, np.random.default_rng(SEED), rollouts)

    return rehearse


def asked(plan: RolloutPlan) -> tuple[Demand, ...]:
    """What is foretold: what people ask always, and what the spec demands."""
    demanded = plan.analysis.detection.demands
    named = {(one.slower, one.failed_from, one.failed_to) for one in demanded}
    extra = [one for one in ASKED_ALWAYS if (one.slower, one.failed_from, one.failed_to) not in named]
    return (Demand(), *sorted((*demanded, *extra), key=lambda one: (one.failed_to, one.slower)))


def foretell(plan: RolloutPlan, traffic: Traffic, demand: Demand, rehearse: Rehearse) -> Foretold:
    release = Imagined(slower=demand.slower, failed_rate=max(0.0, demand.failed_to - demand.failed_from))
    if demand.failed_to:
        traffic = replace(traffic, failed_rate=demand.failed_from)
    ended = rehearse(plan, traffic, release)
    power, wanted = plan.analysis.detection.power, "promoted" if demand == Demand() else "rolled_back"
    as_wanted = [one for one in ended if one.outcome == wanted]
    seconds = _quantiles([one.seconds for one in as_wanted], len(ended), power)
    requests = _quantiles([one.canary_requests for one in as_wanted], len(ended), power)
    steps = Counter(one.step for one in as_wanted).most_common(1)
    most = demand.canary_requests_max or inf
    count = Counter(one.outcome for one in ended)
    return Foretold(
        demand=demand,
        rollouts=len(ended),
        rolled_back=count["rolled_back"] / len(ended),
        promoted=count["promoted"] / len(ended),
        paused=count["paused"] / len(ended),
        in_time=sum(one.outcome == "rolled_back" and one.canary_requests <= most for one in ended) / len(ended),
        seconds_p50=seconds[0],
        seconds_power=seconds[1],
        canary_requests_p50=requests[0],
        canary_requests_power=requests[1],
        step=steps[0][0] if steps else None,
    )


def _quantiles(values: Sequence[float], of: int, power: float) -> tuple[float | None, float | None]:
    """The median and the ``power`` quantile, where those that are missing from ``of`` are infinite."""
    ranked = sorted(values)
    ranks = ceil(of * 0.5) - 1, ceil(of * power) - 1
    low, high = (ranked[rank] if rank < len(ranked) else None for rank in ranks)
    return low, high


def judged(plan: RolloutPlan, foretold: Iterable[Foretold]) -> Verdict:
    """Whether the plan catches what its spec demands. Without a demand: inconclusive, for nothing was asked."""
    by_demand = {one.demand: one for one in foretold}
    detection = plan.analysis.detection
    shown = [by_demand[demand] for demand in detection.demands]
    if not shown:
        return Verdict(Outcome.INCONCLUSIVE, (Evidence("the spec demands no release to be detected"),))
    short = [one for one in shown if one.in_time < detection.power]
    outcome = Outcome.FAIL if short else Outcome.PASS
    return Verdict(outcome, tuple(_evidence(one, detection.power) for one in (short or shown)))


def named(demand: Demand) -> str:
    """``1.5 times as slow``, ``failing 5 % instead of 0.1 %``, ``no worse``."""
    if demand.failed_to:
        return f"failing {demand.failed_to * 100:g} % instead of {demand.failed_from * 100:g} %"
    return f"{demand.slower:g} times as slow" if demand.slower != 1 else "no worse"


def _evidence(one: Foretold, power: float) -> Evidence:
    within = f" within {one.demand.canary_requests_max} canary requests" if one.demand.canary_requests_max else ""
    words = (
        f"a release {named(one.demand)} is rolled back{within} in {one.in_time:.0%} of {one.rollouts} imagined "
        f"rollouts, {power:.0%} demanded (rolled back in all {one.rolled_back:.0%}, paused {one.paused:.0%}, "
        f"promoted {one.promoted:.0%})"
    )
    values: dict[str, float | int | str] = {"in_time": one.in_time, "power": power, "rollouts": one.rollouts}
    return Evidence(words, values)


# --- What would do ----------------------------------------------------------------------------------------------


def mends(plan: RolloutPlan, traffic: Traffic) -> Iterator[str]:
    """The least change of each kind with which the plan catches what is demanded, in words."""
    rehearse = approximated(_ROLLOUTS_OF_A_MEND)
    for changes in (_longer(plan), _heavier(plan), _heavier_and_longer(plan)):
        for words, changed in changes:
            if _catches(changed, traffic, rehearse):
                yield words
                break
    for times in _TIMES_TRAFFIC:
        rate = traffic.requests_per_second * times
        if _catches(plan, replace(traffic, requests_per_second=rate), rehearse):
            yield f"this plan would do from about {rate:.3g} requests a second on"
            return


def _catches(plan: RolloutPlan, traffic: Traffic, rehearse: Rehearse) -> bool:
    detection = plan.analysis.detection
    return all(foretell(plan, traffic, demand, rehearse).in_time >= detection.power for demand in detection.demands)


def _longer(plan: RolloutPlan) -> Iterator[tuple[str, RolloutPlan]]:
    for times in _TIMES_LONGER:
        seconds = plan.pace.step_seconds_max * times
        yield f"step_seconds_max {seconds:g}", replace(plan, pace=replace(plan.pace, step_seconds_max=seconds))


def _heavier(plan: RolloutPlan) -> Iterator[tuple[str, RolloutPlan]]:
    first, *others = plan.steps
    for weight in _FIRST_WEIGHTS:
        if first.weight < weight and all(weight < other.weight for other in others):
            steps = (Step(weight, first.baseline), *others)
            yield f"a first step of {weight * 100 / WEIGHT_TOTAL:g} %", replace(plan, steps=steps)


def _heavier_and_longer(plan: RolloutPlan) -> Iterator[tuple[str, RolloutPlan]]:
    for heavy, changed in _heavier(plan):
        for longer, both in _longer(changed):
            yield f"{heavy} and {longer}", both
