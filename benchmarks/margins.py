"""Margins from history, held against the real judge: ``python -m benchmarks.margins``.

Imagined A/A rollouts with replica noise write a history as the controller keeps it; the noise is estimated from it, the
margins follow, and the real judge is asked how often it rolls good releases back with them, on rollouts with other
seeds. Seeds are fixed. Exit 1 if more than promised are, beyond chance.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import sqrt
from pathlib import Path

import numpy as np

from ops.adapters.spec_file import load_spec
from ops.judge.counting import Cells, Counts
from ops.judge.imagining import CellTraffic, Imagined, Source, Traffic
from ops.judge.margins import calibrated_margins, with_margins
from ops.judge.model import Situation
from ops.judge.noise import Series
from ops.judge.simulating import simulate
from ops.judge.tallying import Tally
from ops.rollout.history import noises, series_of
from ops.rollout.plan import JUDGE_VERSION, RolloutPlan
from ops.rollout.planning import rollout_plan
from ops.rollout.record import Release, Rollout, Strategy
from ops.rollout.recorded import Told
from ops.rollout.states import State
from serving.contract import WEIGHT_TOTAL, Arm, BadEvent, CounterCell, CounterSnapshot, Levels

SCHEMA = "gratefulgpt.benchmark.margins/1"
SPEC = Path(__file__).parents[1] / "gratefulgpt.yaml"
TIER = "production"
CELLS = (
    CellTraffic("generation/p0o2", 0.3, 0.2, 0.02, 200.0, 30.0),
    CellTraffic("completion/p0o1", 0.4, 0.15, 0.02, 80.0, 15.0),
    CellTraffic("completion/p1o1", 0.1, 0.4, 0.02, 80.0, 15.0, long_prompt=True),
    CellTraffic("query/p0o0", 0.2, 0.1, 0.02, 20.0, 10.0),
)
_STEP_SECONDS = 330.0
_Z_95 = 1.96


@dataclass(frozen=True)
class Row:
    noise: float
    estimated: float
    estimated_low: float
    estimated_high: float
    blocks: int
    margin: float
    rollouts: int
    rolled_back_percent: float
    rolled_back_low_percent: float
    """Wilson's 95 % interval."""
    rolled_back_high_percent: float
    at_spec_margin_percent: float
    caught_half_slower_percent: float
    """Of releases 1.5 times as slow, at the calibrated margin."""


def history(
    plan: RolloutPlan, traffic: Traffic, rollouts: int, seed: int, state: State = State.ROLLED_BACK, same: bool = True
) -> list[Series]:
    """Of rollouts' first steps, through the records that the controller keeps: A/A, or another release's."""
    rule = plan.analysis.calibration
    assert rule is not None
    found: list[Series] = []
    for number in range(rollouts):
        told = told_at_a_step(plan, traffic, np.random.default_rng([seed, number]), rule.block_seconds)
        found.extend(series_of(past_rollout(plan, number, state, same), told, rule.block_seconds))
    return found


def past_rollout(plan: RolloutPlan, number: int, state: State, same: bool) -> Rollout:
    """Of the stable release under another name, or of another one."""
    stable = Release("v1", TIER, "simulated", "", "/m", (), "v1", "d1", (), 0.0, "bench")
    canary = replace(stable, name=f"v{number + 2}", digest="d1" if same else f"d{number + 2}")
    return Rollout(f"r{number}", TIER, canary, Strategy.CANARY, plan, 0.0, "bench", state, baseline_release=stable)


def told_at_a_step(plan: RolloutPlan, traffic: Traffic, chance: np.random.Generator, seconds: float) -> list[Told]:
    """What the judge was told about ``seconds`` apart: counters since the step began."""
    source = Source(traffic, Imagined(), plan.pace.look_seconds, chance)
    tally = Tally(traffic, plan.analysis.level_quantiles)
    share = plan.steps[0].weight / WEIGHT_TOTAL
    counted: Cells = {}
    found, now, told_at = [], 0.0, -seconds
    while now < _STEP_SECONDS:
        for arrived in source.next([(Arm.CANARY, share), (Arm.BASELINE, share)], now):
            tally.add(arrived)
        now += plan.pace.look_seconds
        for key, counts in tally.until(now).items():
            counted[key] = counted.get(key, Counts()).plus(counts)
        if now - told_at >= seconds:
            found.append(_one(counted, tally.levels, now))
            told_at = now
    return found


def _one(counted: Cells, levels: dict[str, dict[str, Levels]], now: float) -> Told:
    cells = tuple(
        CounterCell(
            *(TIER, arm, 1, *name.split("/"), counts.assigned, counts.finished, counts.streamed),
            dict(counts.bad),
            dict(counts.levels),
        )
        for (name, arm), counts in counted.items()
    )
    situation = Situation(0, 1, Arm.BASELINE, 1, 1, now, 60.0, levels)
    snapshot = CounterSnapshot("gateway-0", "i", now, cells, ())
    return Told(now, TIER, situation, ("gateway-0",), (), {}, (snapshot,), JUDGE_VERSION)


def run_one(plan: RolloutPlan, traffic: Traffic, slower: float, seed: int) -> bool:
    done = simulate(plan, traffic, Imagined(slower=slower), np.random.default_rng([7, seed]))
    return done.outcome == "rolled_back"


def row(pool: ProcessPoolExecutor, plan: RolloutPlan, sigma: float, rate: float, rollouts: int) -> Row:
    traffic = Traffic(rate, CELLS, replica_sigma=sigma)
    by_event = noises(history(plan, traffic, 30, seed=1))
    calibrated = with_margins(plan, calibrated_margins(plan, replace(traffic, replica_sigma=0.0), by_event))
    noise = by_event[BadEvent.SLOW]
    assert noise is not None

    def part(of: RolloutPlan, slower: float, count: int) -> float:
        return sum(pool.map(partial(run_one, of, traffic, slower), range(count), chunksize=5)) / count

    back = part(calibrated, 1.0, rollouts)
    low, high = _wilson(back, rollouts)
    return Row(
        noise=sigma,
        estimated=noise.sigma,
        estimated_low=noise.sigma_low,
        estimated_high=noise.sigma_high,
        blocks=noise.blocks,
        margin=next(event.margin for event in calibrated.analysis.events if event.event is BadEvent.SLOW),
        rollouts=rollouts,
        rolled_back_percent=100 * back,
        rolled_back_low_percent=100 * low,
        rolled_back_high_percent=100 * high,
        at_spec_margin_percent=100 * part(plan, 1.0, rollouts),
        caught_half_slower_percent=100 * part(calibrated, 1.5, max(rollouts // 4, 1)),
    )


def _wilson(rate: float, total: int) -> tuple[float, float]:
    z2 = _Z_95**2
    middle = (rate + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z_95 * sqrt(rate * (1 - rate) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| replica noise | estimated (90 %) | margin | rolled back at it, % (95 %) | at the spec's, % "
        "| 1.5 x caught, % |",
        "|-:|-:|-:|-:|-:|-:|",
    ]
    lines += [
        f"| {one.noise:g} | {one.estimated:g} ({one.estimated_low:g}-{one.estimated_high:g}) | {one.margin:g} "
        f"| {one.rolled_back_percent:.1f} ({one.rolled_back_low_percent:.1f}-{one.rolled_back_high_percent:.1f}) "
        f"| {one.at_spec_margin_percent:.1f} | {one.caught_half_slower_percent:.0f} |"
        for one in rows
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.margins", description=__doc__.splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=300, help="asked of the real judge per figure (default 300)")
    parser.add_argument("--rate", type=float, default=20.0, help="requests per second of the tier (default 20)")
    parser.add_argument("--noises", default="0,0.1,0.2", help="of the logarithm, per replica (default 0,0.1,0.2)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="results as JSON instead of a table")
    given = parser.parse_args(arguments)
    plan, rows = rollout_plan(load_spec(SPEC), "production", TIER), []
    with ProcessPoolExecutor(given.processes) as pool:
        for sigma in given.noises.split(","):
            rows.append(row(pool, plan, float(sigma), given.rate, given.rollouts))
            print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(json.dumps({"schema": SCHEMA, "rows": [asdict(one) for one in rows]}) if given.json else table(rows))
    allowed = 100 * plan.analysis.false_rollback_rate_max
    return int(any(one.rolled_back_low_percent > allowed for one in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
