"""What suites look for: knee, breaking point, capacity, recovery, drift, efficiency; and which phases count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import pytest

from ops.loadtest.calls import INTENDED, LATE, OK
from ops.loadtest.frames import Cell, Report
from ops.loadtest.judging import assess
from ops.loadtest.plan import Kind, Phase, Plan, Rate
from ops.loadtest.recording import Measure, Recorder
from ops.loadtest.run import Collecting, Run, Server, ServerHealth
from ops.spec.loadtest import Stage
from ops.verdict import Outcome
from tests.loadtest.judged_runs import SPEC

QUERY = Kind("history-query", "query", 0.5, 10.0, stream=False)
SECONDS = 40.0


@dataclass(frozen=True)
class Step:
    """A stage as it went: the median latency, and for how long after its begin requests were late."""

    name: str
    percent: float
    median: float = 0.1
    late_seconds: float = 0.0
    replicas: int | None = None
    measured: bool = True


def _ran(suite: str, steps: Sequence[Step], seconds: float = SECONDS, rise: float = 0.0) -> Run:
    """1 % is one request a second. Latency rises by the part ``rise`` over the whole run."""
    chance = Random(1)
    phases = tuple(Phase(step.name, seconds, step.measured) for step in steps)
    rates = tuple(Rate(seconds, step.percent, step.percent) for step in steps)
    plan = Plan("127.0.0.1", 1, False, (QUERY,), (), phases, rates)
    collecting = Collecting(suite, plan, 0.0)
    for number, step in enumerate(steps):
        for second in range(int(seconds)):
            at = number * seconds + second
            grown = 1 + rise * at / plan.seconds
            recorder = Recorder()
            for _ in range(round(step.percent)):
                late = second < step.late_seconds
                _count(recorder, 1.0 if late else chance.lognormvariate(0, 0.2) * step.median * grown)
            report = Report(at + 0.5, at + 0.5, (Cell(number, 0, recorder.taken()),), 0, 0, 1, 0.01, 1 << 20)
            collecting.take("local", report)
    collecting.take("local", Report(plan.seconds, plan.seconds, (), 0, 0, 1, 0.01, 1 << 20, final=True))
    stages = tuple(
        Stage(name=step.name, seconds=seconds, percent=step.percent, measured=step.measured, replicas=step.replicas)
        for step in steps
    )
    return replace(collecting.run(plan.seconds), stages=stages)


def _count(recorder: Recorder, seconds: float) -> None:
    recorder.counts.update({INTENDED: 1, OK: 1, LATE: int(seconds > QUERY.target_seconds)})
    recorder.add(Measure.LATENCY, seconds)
    recorder.add(Measure.SEND_LAG, 0.001)


def _found(run: Run):
    return {one.name: one for one in assess(run, SPEC).found}


STRESS = (
    Step("warm-up", 50, measured=False),
    Step("at-50", 50),
    Step("at-100", 100, 0.12),
    Step("at-150", 150, 0.25),
    Step("at-200", 200, 1.0),
    Step("after", 50, late_seconds=12),
)


def test_stress_finds_the_knee_the_breaking_point_and_how_soon_it_recovers():
    assessment = assess(_ran("stress", STRESS), SPEC)
    found = {one.name: one for one in assessment.found}
    assert found["knee_requests_per_second"].value == 100
    assert found["breaking_point_requests_per_second"].value == 200
    assert found["recovery_seconds"].value == pytest.approx(20)  # by windows of ten seconds
    assert [phase.name for phase in assessment.phases if phase.counts] == ["at-50", "at-100"]


def test_what_is_beyond_the_promised_load_does_not_fail_the_run_and_what_is_within_does():
    outcomes = {one.target: one for one in assess(_ran("stress", STRESS), SPEC).phases[1].targets}
    assert outcomes["latency"].verdict.outcome is Outcome.PASS
    slow = [replace(step, median=1.0) if step.name == "at-100" else step for step in STRESS]
    assert assess(_ran("stress", slow), SPEC).verdict.outcome is Outcome.FAIL


def test_one_that_does_not_recover_in_time_fails_and_one_that_had_no_time_is_inconclusive():
    steps = (Step("before", 80), Step("spike", 200, 1.0), Step("after", 80, late_seconds=100))
    found = _found(_ran("spike", steps, seconds=80))
    assert found["recovery_seconds"].verdict.outcome is Outcome.FAIL
    assert "80 s after the spike" in found["recovery_seconds"].text
    found = _found(_ran("spike", steps, seconds=40))
    assert found["recovery_seconds"].verdict.outcome is Outcome.INCONCLUSIVE


CAPACITY = (Step("at-60", 60), Step("at-80", 80), Step("at-100", 100), Step("at-120", 120, 0.7), Step("at-140", 140, 2))


def test_capacity_is_the_highest_step_that_holds_with_all_below_it():
    """Errors under 0.1 % need 2,995 requests in each step."""
    found = _found(_ran("capacity", CAPACITY, seconds=60))
    assert found["capacity_requests_per_second"].value == 100
    assert found["below_requests_per_second"].value == 120


def test_capacity_is_not_known_where_too_few_requests_were_sent():
    found = _found(_ran("capacity", CAPACITY, seconds=5))
    assert found["capacity_requests_per_second"].value is None


SCALING = (Step("one", 20, replicas=1), Step("two", 40, replicas=2), Step("four", 80, replicas=4))


def test_growth_with_replicas_is_efficient_while_requests_come_in_time():
    found = [one for one in assess(_ran("scalability", SCALING), SPEC).found if one.name == "efficiency_percent"]
    assert [one.verdict.outcome for one in found] == [Outcome.PASS, Outcome.PASS]
    assert [one.value for one in found] == pytest.approx([100, 100])


def test_growth_that_makes_requests_late_is_not():
    slow = (*SCALING[:2], replace(SCALING[2], late_seconds=20))
    found = [one for one in assess(_ran("scalability", slow), SPEC).found if one.name == "efficiency_percent"]
    assert [one.verdict.outcome for one in found] == [Outcome.PASS, Outcome.FAIL]
    assert found[1].value == pytest.approx(50)


def _health(seconds: float, rise: float) -> Server:
    """Memory that rises by the part ``rise``, one connection more or less at random."""
    chance = Random(2)
    health = tuple(
        ServerHealth(at, "worker", int((1 + rise * at / seconds) * 10**8), 100 + chance.randrange(3))
        for at in range(0, int(seconds), 10)
    )
    return Server((), health, "")


@pytest.mark.parametrize(
    ("latency", "memory", "outcomes"),
    [
        (0.0, 0.0, (Outcome.PASS, Outcome.PASS, Outcome.PASS)),
        (0.5, 0.0, (Outcome.FAIL, Outcome.PASS, Outcome.PASS)),
        (0.0, 0.3, (Outcome.PASS, Outcome.FAIL, Outcome.PASS)),
    ],
)
def test_what_creeps_up_over_hours_is_found(latency, memory, outcomes):
    run = replace(_ran("endurance", (Step("steady", 20),), seconds=600, rise=latency), server=_health(600, memory))
    found = [one for one in assess(run, SPEC).found if one.name == "drift_percent"]
    assert [one.text.split(" changed")[0] for one in found] == [
        "p95 latency of query",
        "memory of worker",
        "open files of worker",
    ]
    assert tuple(one.verdict.outcome for one in found) == outcomes, [one.text for one in found]


def test_memory_that_nobody_looked_at_is_blind_and_a_short_run_says_nothing_of_a_slope():
    found = assess(_ran("endurance", (Step("steady", 20),), seconds=60), SPEC).found
    assert [one.verdict.outcome for one in found] == [Outcome.INCONCLUSIVE, Outcome.INVALID]
