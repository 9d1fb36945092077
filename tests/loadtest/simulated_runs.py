"""Reports of runs that never were, with latencies drawn by chance: for statistics over many of them."""

from random import Random

import msgspec

from ops.loadtest.calls import INTENDED, LATE, OK, TOKENS
from ops.loadtest.frames import Cell, Report
from ops.loadtest.judging import assess
from ops.loadtest.plan import Kind, Phase, Plan, Rate
from ops.loadtest.recording import Measure, Recorder
from ops.loadtest.reporting_document import Document
from ops.loadtest.reporting_figures import document
from ops.loadtest.run import Collecting
from tests.loadtest.judged_runs import SPEC

KINDS = (
    Kind("history-query", "query", 0.5, 10.0, stream=False),
    Kind("complete", "completion", 1.0, 15.0, stream=True),
    Kind("chat", "generation", 2.0, 30.0, stream=True),
)
MEDIANS = (0.120, 0.250, 0.600)
PLAN = Plan("127.0.0.1", 1, False, KINDS, (), (Phase("steady", 40.0),), (Rate(40.0, 80.0, 80.0),))
REPORT_SECONDS = 0.5


def simulated(
    seed: int, slower: float = 1.0, failing: float = 0.0, clumped: float = 0.0, seconds: float = 40.0
) -> Document:
    """80 requests a second. ``slower`` multiplies latencies; ``clumped`` is the spread of a factor that lasts two
    seconds and is shared by all requests then."""
    plan = msgspec.structs.replace(PLAN, phases=(Phase("steady", seconds),), rates=(Rate(seconds, 80.0, 80.0),))
    chance = Random(seed)
    collecting = Collecting("smoke", plan, 0.0)
    factor = 1.0
    for number in range(round(plan.seconds / REPORT_SECONDS)):
        if number % 4 == 0:
            factor = chance.lognormvariate(0, clumped) if clumped else 1.0
        cells = []
        for index, median in enumerate(MEDIANS):
            recorder = Recorder()
            for _ in range(round(80 * REPORT_SECONDS / 3) + (number % 3 == index)):
                _one(recorder, chance, index, median * slower * factor, chance.random() < failing)
            cells.append(Cell(0, index, recorder.taken()))
        at = number * REPORT_SECONDS + 0.25
        collecting.take("local", Report(at, at, tuple(cells), 0, 0, 1, 0.01, 1 << 20))
    collecting.take("local", Report(plan.seconds, plan.seconds, (), 0, 0, 1, 0.01, 1 << 20, final=True))
    run = collecting.run(plan.seconds)
    return document(run, SPEC, assess(run, SPEC))


def _one(recorder: Recorder, chance: Random, index: int, median: float, failed: bool) -> None:
    recorder.counts[INTENDED] += 1
    recorder.add(Measure.SEND_LAG, 0.001)
    if failed:
        recorder.counts["status.503"] += 1
        return
    kind = KINDS[index]
    seconds = chance.lognormvariate(0, 0.25) * median
    recorder.counts[OK] += 1
    recorder.counts[LATE] += seconds > kind.target_seconds
    recorder.add(Measure.LATENCY, seconds)
    recorder.add(Measure.SERVICE, seconds)
    if kind.stream:
        recorder.counts[TOKENS] += 48
        recorder.add(Measure.FIRST_TOKEN, seconds / 5)
        recorder.add(Measure.TIME_PER_TOKEN, seconds * 0.8 / 47)
