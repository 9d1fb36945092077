"""What suites look for besides the targets: knee, recovery, drift, efficiency, the highest rate. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise, takewhile

from ops.loadtest.calls import INTENDED, LATE, OK
from ops.loadtest.drifting import drifts
from ops.loadtest.found import Found, fact
from ops.loadtest.recording import Measure
from ops.loadtest.run import Run
from ops.loadtest.tallies import classes, tally
from ops.loadtest.verdicts import Misses, lower_bound, upper_bound
from ops.spec.load_judging import Sought
from ops.spec.loadtest import Stage
from ops.spec.model import Spec
from ops.verdict import Outcome


@dataclass(frozen=True)
class Sight:
    run: Run
    spec: Spec
    outcomes: Mapping[int, Outcome]
    """Of the measured phases, by number."""

    @property
    def sought(self) -> Sought:
        return self.spec.load.sought

    def rate(self, number: int) -> float:
        """Requests a second that were due in a phase, seen."""
        return (
            tally(self.run.plan.kinds, self.run.cells, phases={number}).intended / self.run.plan.phases[number].seconds
        )

    def rising(self) -> list[int]:
        """The measured phases of steps up, each above all before it."""
        found: list[int] = []
        for number, stage in enumerate(self.run.stages):
            if stage.measured and (not found or stage.percent > self.run.stages[found[-1]].percent):
                found.append(number)
        return found


def sought(sight: Sight) -> tuple[Found, ...]:
    """Nothing for a suite that looks for its targets alone, and for a recorded trace."""
    suite = sight.spec.load.suites.get(sight.run.suite)
    if suite is None or not sight.run.stages:
        return ()
    return _SEEKERS[suite.find](sight) if suite.find in _SEEKERS else ()


# --- Stress: where it bends, where it breaks --------------------------------------------------------------------


def _knee(sight: Sight) -> tuple[Found, ...]:
    return (_bend(sight), *_highest(sight, "breaking_point_requests_per_second", "breaks"))


def _bend(sight: Sight) -> Found:
    """The highest rate before p95 latency of any class exceeds a multiple of what it is at the lowest."""
    steps, times, name = sight.rising(), sight.sought.knee_times, "knee_requests_per_second"
    if not steps:
        return fact(name, None, "no knee: the suite has no measured steps", Outcome.INVALID)
    for before, step in pairwise(steps):
        for task_class in classes(sight.run.plan.kinds):
            low, high = _p95(sight.run, task_class, steps[0]), _p95(sight.run, task_class, step)
            if low is not None and (high is None or high > times * low):
                now = "more than 5 % failed" if high is None else f"p95 was {1000 * high:,.0f} ms"
                rate = sight.rate(before)
                return fact(
                    name,
                    rate,
                    f"knee at {rate:,.1f} requests/s: beyond, at {sight.rate(step):,.1f}, {now} for {task_class}, over "
                    f"{times:g} times the {1000 * low:,.0f} ms at the lowest rate",
                )
    return fact(name, None, f"no knee up to {sight.rate(steps[-1]):,.1f} requests/s")


def _p95(run: Run, task_class: str, number: int) -> float | None:
    return tally(run.plan.kinds, run.cells, task_class, {number}).percentile(Measure.LATENCY, 95)


# --- Capacity: the highest rate at which every target holds -----------------------------------------------------


def _goodput(sight: Sight) -> tuple[Found, ...]:
    return _highest(sight, "below_requests_per_second", "is too much")


def _highest(sight: Sight, upper_name: str, breaks: str) -> tuple[Found, ...]:
    """Every step up to the lower bound was shown to hold, with the confidence of each; the first that was shown not to
    is the upper one. A step at which the generator was blind ends the search."""
    steps = sight.rising()
    held = list(takewhile(lambda step: sight.outcomes[step] is Outcome.PASS, steps))
    ended = next((step for step in steps if sight.outcomes[step] in (Outcome.FAIL, Outcome.INVALID)), None)
    lower = sight.rate(held[-1]) if held else None
    words = "no rate was shown to hold every target"
    if lower is not None:
        words = f"every target holds at {lower:,.1f} requests/s and at every step below (95 % confidence each)"
    capacity = fact("capacity_requests_per_second", lower, words)
    if ended is None:
        return capacity, fact(upper_name, None, "no step was shown to be too much")
    rate = sight.rate(ended)
    if sight.outcomes[ended] is Outcome.INVALID:
        return capacity, fact(upper_name, None, f"from {rate:,.1f} requests/s on nothing is known: the step is invalid")
    return capacity, fact(upper_name, rate, f"{rate:,.1f} requests/s {breaks}: a target is shown to be missed")


# --- Scalability ------------------------------------------------------------------------------------------------


def _efficiency(sight: Sight) -> tuple[Found, ...]:
    """Requests in time per replica and offered request, of that at the fewest replicas."""
    steps = [step for step in sight.rising() if sight.run.stages[step].replicas]
    if len(steps) < 2:
        return (fact("efficiency_percent", None, "no steps with different replicas were measured", Outcome.INVALID),)
    return tuple(_efficient(sight, steps[0], step) for step in steps[1:])


def _efficient(sight: Sight, first: int, step: int) -> Found:
    few, many = sight.run.stages[first], sight.run.stages[step]
    one, other = _late(sight.run, first), _late(sight.run, step)
    if not one.requests or not other.requests or one.misses >= one.requests:
        words = f"efficiency at {many.replicas} replicas: too few requests came in time to compare"
        return fact("efficiency_percent", None, words, Outcome.INCONCLUSIVE)
    offered = _offered(many) / _offered(few)
    seen = 100 * offered * _in_time(other) / _in_time(one)
    low = 100 * offered * (1 - upper_bound(other)) / (1 - lower_bound(one))
    high = 100 * offered * (1 - lower_bound(other)) / (1 - upper_bound(one)) if upper_bound(one) < 1 else float("inf")
    least = sight.sought.efficiency_percent_min
    outcome = Outcome.PASS if low >= least else Outcome.FAIL if high < least else Outcome.INCONCLUSIVE
    return fact(
        "efficiency_percent",
        seen,
        f"efficiency at {many.replicas} replicas: {seen:.1f} % of that at {few.replicas}, between {low:.1f} and "
        f"{high:.1f} % (at least {least:g} % wanted)",
        outcome,
    )


def _offered(stage: Stage) -> float:
    """Of the promised rate, per replica."""
    return stage.percent / (stage.replicas or 1)


def _late(run: Run, number: int) -> Misses:
    counts = tally(run.plan.kinds, run.cells, phases={number}).everything.counts
    return Misses(counts[INTENDED], counts[INTENDED] - counts[OK] + counts[LATE])


def _in_time(seen: Misses) -> float:
    return (seen.requests - seen.misses) / seen.requests


def _drift(sight: Sight) -> tuple[Found, ...]:
    return drifts(sight.run, sight.sought)


_SEEKERS: Mapping[str, Callable[[Sight], tuple[Found, ...]]] = {
    "knee": _knee,
    "goodput": _goodput,
    "efficiency": _efficiency,
    "drift": _drift,
}
"""By what a suite of the spec wants to find. Recovery is looked at wherever a phase follows too much load."""
