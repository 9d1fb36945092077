"""What a look costs: ten tiers, three classes, five strata, everything busy."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from benchmarks.judge.traffic import EVALUATION, reference_plan
from ops.judge.counting import difference
from ops.judge.imagining import CellTraffic, Imagined, Source
from ops.judge.judging import look
from ops.judge.model import JudgeState, Situation
from ops.judge.tallying import Tally
from ops.judge.telling import Teller
from serving.contract import Arm

TIERS, LOOKS, WARM_LOOKS = 10, 60, 5
CLASSES = ("generation", "completion", "query")
STRATA = ("p0o0", "p0o1", "p1o0", "p1o1", "p2o1")


@dataclass(frozen=True)
class Cost:
    requests_per_second: float
    """Of each tier."""
    milliseconds_median: float
    """CPU time of one look at all ten tiers, the reading of the counters included."""
    milliseconds_least: float
    """What it costs where nothing else competes for the core and its caches."""
    milliseconds_p99: float
    of_reading_median: float
    """Of these, the differences of counters."""


def look_cost(requests_per_second: float = 20.0) -> Cost:
    """Looks at the 50 % step, every 5 s: more on the canary than at any other step that compares."""
    plan = reference_plan()
    cells = tuple(CellTraffic(f"{c}/{s}", 1 / 15, 0.3, 0.02, 30.0) for c in CLASSES for s in STRATA)
    traffic = replace(EVALUATION, requests_per_second=requests_per_second, cells=cells)
    source, tally = (
        Source(traffic, Imagined(failed_rate=0.01), 5.0, np.random.default_rng(1)),
        Tally(traffic, plan.analysis.level_quantiles),
    )
    teller, state = Teller("tier", ()), JudgeState()
    whole, reading = [], []
    gc.collect()
    gc.freeze()  # as the controller does
    for i in range(LOOKS + WARM_LOOKS):
        now = 5.0 * (i + 1)
        for arrived in source.next([(Arm.CANARY, 0.5), (Arm.STABLE, 0.5)], now - 5.0):
            tally.add(arrived)
        told = teller.snapshot(tally.until(now), 2, now)
        situation = Situation(1, 2, Arm.STABLE, 10, 10, now, 60.0, tally.levels)
        start = time.process_time()
        found = [
            difference(state.bases, (told,), workers=(told.worker,), tier="tier", epoch=2, now=now, age_seconds_max=5.0)
            for _ in range(TIERS)
        ]
        read = time.process_time()
        answers = [look(state, one, situation, plan.analysis) for one in found]
        end = time.process_time()
        state = answers[0][0]
        if i >= WARM_LOOKS:
            whole.append(1000 * (end - start))
            reading.append(1000 * (read - start))
    gc.unfreeze()
    return Cost(
        requests_per_second,
        round(median(whole), 2),
        round(min(whole), 2),
        round(sorted(whole)[int(0.99 * len(whole))], 2),
        round(median(reading), 2),
    )
