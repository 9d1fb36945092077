"""How often the judge is wrong and how soon it is right, over simulated rollouts: ``python -m benchmarks.judge``.

Each row simulates whole rollouts of the reference spec (5, 50, 100 %), looked at every 2 seconds, with one kind of
release on trial. The traffic is imagined (``ops.judge.imagining``), the judge is the real one. Seeds are fixed, so two
runs print the same figures. Exit 1 if good releases are rolled back more often than the spec allows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path
from random import Random
from statistics import median

from ops.adapters.spec_file import load_spec
from ops.judge.imagining import CellTraffic, Imagined, Traffic
from ops.judge.simulating import Outage, Simulated, simulate
from ops.rollout.plan import RolloutPlan
from ops.rollout.planning import rollout_plan

SCHEMA = "gratefulgpt.benchmark.judge/1"
SPEC = Path(__file__).parents[1] / "gratefulgpt.yaml"
CELLS = (
    CellTraffic("generation/p0o2", 0.3, 0.3, 0.02, 60.0),
    CellTraffic("completion/p0o1", 0.4, 0.2, 0.02, 20.0),
    CellTraffic("completion/p1o1", 0.1, 0.4, 0.02, 20.0, long_prompt=True),
    CellTraffic("query/p0o0", 0.2, 0.1, 0.02, 8.0),
)
_Z_95 = 1.96


@dataclass(frozen=True)
class Scenario:
    name: str
    good: bool
    release: Imagined
    traffic: dict[str, float]
    outage: Outage | None = None


SCENARIOS = (
    Scenario("A/A", True, Imagined(), {}),
    Scenario("A/A + replica noise 10 %", True, Imagined(), {"replica_sigma": 0.1}),
    Scenario("A/A + replica noise 20 %", True, Imagined(), {"replica_sigma": 0.2}),
    Scenario("cold for 60 s (both)", True, Imagined(cold_seconds=60.0), {}),
    Scenario("telemetry outage 45 s", True, Imagined(), {}, Outage(60.0, 105.0)),
    Scenario("telemetry outage for ever", True, Imagined(), {}, Outage(60.0, 1e9)),
    Scenario("x 1.2", False, Imagined(slower=1.2), {}),
    Scenario("x 1.5", False, Imagined(slower=1.5), {}),
    Scenario("x 2", False, Imagined(slower=2.0), {}),
    Scenario("errors 0.5 -> 2 %", False, Imagined(failed_rate=0.015), {"failed_rate": 0.005}),
    Scenario("errors 0.05 -> 10 %", False, Imagined(failed_rate=0.10), {}),
    Scenario("empty answers 20 %", False, Imagined(empty_rate=0.2), {}),
    Scenario("dead", False, Imagined(dead=True), {}),
)


@dataclass(frozen=True)
class Row:
    scenario: str
    good: bool
    requests_per_second: float
    rollouts: int
    rolled_back_percent: float
    rolled_back_low_percent: float
    rolled_back_high_percent: float
    """Wilson's 95 % interval."""
    promoted_percent: float
    paused_percent: float
    rolled_back_seconds: float | None
    """Median, of those rolled back, as are the next two."""
    rolled_back_canary_requests: float | None
    rolled_back_canary_requests_p99: float | None
    promoted_seconds: float | None
    """Median, of those promoted."""


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a rate, in percent."""
    rate, z2 = hits / total, _Z_95**2
    middle = (rate + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z_95 * sqrt(rate * (1 - rate) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)


def reference_plan() -> RolloutPlan:
    plan = rollout_plan(load_spec(SPEC), "production", "production")
    return replace(plan, pace=replace(plan.pace, look_seconds=2.0))


def run_one(task: tuple[RolloutPlan, Scenario, float, int]) -> Simulated:
    plan, scenario, rate, seed = task
    traffic = replace(Traffic(rate, CELLS), **scenario.traffic)  # type: ignore[arg-type]
    return simulate(plan, traffic, scenario.release, Random(seed), scenario.outage)


def row(scenario: Scenario, rate: float, done: Sequence[Simulated]) -> Row:
    back = [one for one in done if one.outcome == "rolled_back"]
    promoted = [one for one in done if one.outcome == "promoted"]
    requests = sorted(one.canary_requests for one in back)
    low, high = wilson(len(back), len(done))
    return Row(
        scenario=scenario.name,
        good=scenario.good,
        requests_per_second=rate,
        rollouts=len(done),
        rolled_back_percent=100 * len(back) / len(done),
        rolled_back_low_percent=low,
        rolled_back_high_percent=high,
        promoted_percent=100 * len(promoted) / len(done),
        paused_percent=100 * (len(done) - len(back) - len(promoted)) / len(done),
        rolled_back_seconds=median(one.seconds for one in back) if back else None,
        rolled_back_canary_requests=median(requests) if back else None,
        rolled_back_canary_requests_p99=requests[min(len(requests) - 1, int(0.99 * len(requests)))] if back else None,
        promoted_seconds=median(one.seconds for one in promoted) if promoted else None,
    )


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| release on trial | rps | rolled back % (95 % CI) | promoted % | paused % | s to roll back "
        "| canary requests, median / p99 | s to promote |",
        "|-|-:|-:|-:|-:|-:|-:|-:|",
    ]
    for one in rows:
        requests = f"{_figure(one.rolled_back_canary_requests)} / {_figure(one.rolled_back_canary_requests_p99)}"
        lines.append(
            f"| {one.scenario} | {one.requests_per_second:g} | {one.rolled_back_percent:.1f} "
            f"({one.rolled_back_low_percent:.1f}-{one.rolled_back_high_percent:.1f}) | {one.promoted_percent:.1f} "
            f"| {one.paused_percent:.1f} | {_figure(one.rolled_back_seconds)} "
            f"| {requests if one.rolled_back_canary_requests is not None else '-'} | {_figure(one.promoted_seconds)} |"
        )
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__.splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=200, help="simulated per row (default 200)")
    parser.add_argument("--aa-rollouts", type=int, default=2000, help="of the plain A/A row at the first rate")
    parser.add_argument("--rates", default="20,2", help="requests per second of the tier (default 20,2)")
    parser.add_argument("--only", default="", help="only scenarios whose name contains this")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="results as JSON instead of a table")
    given = parser.parse_args(arguments)
    plan, rows = reference_plan(), []
    rates = [float(rate) for rate in given.rates.split(",")]
    with ProcessPoolExecutor(given.processes) as pool:
        for rate in rates:
            for scenario in (one for one in SCENARIOS if given.only in one.name):
                plain = scenario is SCENARIOS[0] and rate == rates[0]
                count = given.aa_rollouts if plain else given.rollouts
                tasks = ((plan, scenario, rate, seed) for seed in range(count))
                rows.append(row(scenario, rate, list(pool.map(run_one, tasks, chunksize=10))))
                print(table(rows[-1:]).splitlines()[-1], file=sys.stderr)
    if given.json:
        print(json.dumps({"schema": SCHEMA, "spec_digest": plan.spec_digest, "rows": [asdict(one) for one in rows]}))
    else:
        print(table(rows))
    allowed = 100 * plan.analysis.false_rollback_rate_max
    return int(any(one.rolled_back_low_percent > allowed for one in rows if one.scenario == "A/A"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
