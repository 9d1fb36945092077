"""``python -m benchmarks.judge``: measures, prints the tables, writes a JSON and pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.judge import tuning
from benchmarks.judge.cost import look_cost
from benchmarks.judge.pictures import draw
from benchmarks.judge.rows import Row, row
from benchmarks.judge.running import OurTask, PeerTask, by_contender, in_parallel, our_trial, peer_trials
from benchmarks.judge.scenarios import AA, NOISE_10, NOISE_20, SCENARIOS, SLOW_2, SLOW_12, SLOW_15, Scenario
from benchmarks.judge.tables import our_table, peer_table
from benchmarks.judge.traffic import EVALUATION, NARROW_MARGIN, reference_plan

SCHEMA = "gratefulgpt.benchmark.judge/2"
SEED = 5_000_000
"""Evaluation's first; tuning's are others."""
MARGINS = (1.02, 1.1, 1.15, 1.2, 1.3)
NOISE_MARGINS = (1.15, 1.2)
OF_NOISE = frozenset({"aa-noise-0.1", "x1.2-noise-0.1", "x1.5-noise-0.1", "x2-noise-0.1"})
ON_THE_CURVE = (AA, NOISE_10, NOISE_20, SLOW_12, SLOW_15, SLOW_2)
OF_TARGETS = frozenset({"aa", "x1.2", "x1.5", "x2", "stable-aa", "stable-x1.2", "stable-x1.5", "stable-x2", "cold"})
"""Measured with the narrow margin too: targets are stated for alike replicas."""
NOT_OF_PEERS = frozenset({"cold-alone", "sessions", "restart", "x2-restart", "stable-aa"})
"""Peers read rates over windows from one store, to which a worker's restart is nothing; the rest is ours to prove."""


@dataclass(frozen=True)
class Sizes:
    rollouts: int
    aa_rollouts: int
    """Of plain A/A at 20 requests/s with the narrow margin."""
    target_rollouts: int
    curve_rollouts: int
    peer_rollouts: int
    tuning_rollouts: int


FULL = Sizes(24, 2000, 200, 60, 20, 12)
QUICK = Sizes(10, 40, 20, 5, 6, 4)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rollouts of each kind: two minutes on two cores")
    parser.add_argument("--only", default="", help="parts to run, of targets,ours,curve,noise,peers,cost (default all)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("build/benchmark-judge.json"), help="the JSON result")
    parser.add_argument("--pictures", type=Path, help="a folder for the pictures; none without it")
    given = parser.parse_args(arguments)
    sizes = QUICK if given.quick else FULL
    wanted = given.only.split(",") if given.only else list(PARTS)
    result: dict[str, Any] = json.loads(given.output.read_text()) if given.only and given.output.exists() else {}
    plan = reference_plan()
    result |= {"schema": SCHEMA, "spec_digest": plan.spec_digest, "judge_version": plan.judge_version}
    result.setdefault("sizes", {})
    for part in wanted:
        result[part] = PARTS[part](sizes, given.processes)
        result["sizes"][part] = asdict(sizes)
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(result, indent=1) + "\n")
    print(our_table([Row(**one) for part in ("targets", "noise", "ours", "curve") for one in result.get(part, [])]))
    print(peer_table(result.get("peers", {})))
    if given.pictures:
        draw(result, given.pictures)
    return _judged(result)


def _judged(result: dict[str, Any]) -> int:
    """1 if good releases are shown to be rolled back more often than the spec allows."""
    allowed = 100 * reference_plan().analysis.false_rollback_rate_max
    plain = [one for one in result.get("targets", []) if one["scenario"] in ("aa", "stable-aa")]
    return int(any(one["rolled_back_low_percent"] > allowed for one in plain))


def _measured(scenario: Scenario, rate: float, margin: float | None, count: int, processes: int) -> Row:
    seeds = (SEED, SEED + count - 1)
    tasks = (OurTask(scenario, EVALUATION, rate, margin, seed) for seed in range(seeds[0], seeds[1] + 1))
    shown = next(e.margin for e in reference_plan(margin).analysis.events if e.event == "slow")
    done = row("ours", scenario, rate, shown, seeds, list(in_parallel(our_trial, tasks, processes)))
    print(our_table([done]).splitlines()[-1], file=sys.stderr, flush=True)
    return done


def _targets(sizes: Sizes, processes: int) -> list[dict[str, Any]]:
    """With the narrow margin: replicas alike, as the targets have it."""
    rows = []
    for scenario in (one for one in SCENARIOS if one.key in OF_TARGETS):
        count = sizes.aa_rollouts if scenario is AA else sizes.target_rollouts
        rows.append(asdict(_measured(scenario, 20.0, NARROW_MARGIN, count, processes)))
    return rows


def _ours(sizes: Sizes, processes: int) -> list[dict[str, Any]]:
    """Every scenario at each of its rates, with the spec's margins."""
    rows = []
    for scenario in SCENARIOS:
        for rate in scenario.rates:
            plain = scenario is AA and rate == 20.0
            # A look at 200 requests a second costs ten times the drawing: fewer of these.
            count = sizes.curve_rollouts if plain else max(sizes.rollouts // (4 if rate > 100 else 1), 1)
            rows.append(asdict(_measured(scenario, rate, None, count, processes)))
    return rows


def _curve(sizes: Sizes, processes: int) -> list[dict[str, Any]]:
    return [
        asdict(_measured(scenario, 20.0, margin, sizes.curve_rollouts, processes))
        for scenario in ON_THE_CURVE
        for margin in MARGINS
    ]


def _noise(sizes: Sizes, processes: int) -> list[dict[str, Any]]:
    """Around the margin at which replica noise of 0.1 is allowed for, and what power is left there."""
    rows = []
    for margin in NOISE_MARGINS:
        for scenario in (one for one in SCENARIOS if one.key in OF_NOISE):
            count = sizes.target_rollouts * 2 if scenario is NOISE_10 else sizes.curve_rollouts
            rows.append(asdict(_measured(scenario, 20.0, margin, count, processes)))
    return rows


def _peers(sizes: Sizes, processes: int) -> dict[str, Any]:
    points = tuning.curve(sizes.tuning_rollouts, processes)
    rows = []
    for judge in tuning.JUDGES:
        best = tuning.chosen(points, judge)
        wanted = frozenset(point.contender for point in best)
        for scenario in (one for one in SCENARIOS if one.key not in NOT_OF_PEERS and not one.stable):
            rows += list(_peer_rows(judge, scenario, wanted, sizes, processes))
    return {
        "curve": [{"label": p.contender.label, **asdict(p)} for p in points],
        "chosen": {judge: [p.contender.label for p in tuning.chosen(points, judge)] for judge in tuning.JUDGES},
        "rows": rows,
    }


def _peer_rows(
    judge: str, scenario: Scenario, wanted: frozenset[Any], sizes: Sizes, processes: int
) -> Iterator[dict[str, Any]]:
    seeds = (SEED, SEED + sizes.peer_rollouts - 1)
    tasks = (PeerTask(judge, scenario, EVALUATION, 20.0, seed, wanted) for seed in range(seeds[0], seeds[1] + 1))
    for contender, trials in by_contender(in_parallel(peer_trials, tasks, processes)).items():
        done = row(contender.label, scenario, 20.0, None, seeds, trials)
        print(our_table([done]).splitlines()[-1], file=sys.stderr, flush=True)
        yield asdict(done)


def _cost(sizes: Sizes, processes: int) -> dict[str, Any]:
    return asdict(look_cost())


PARTS = {"targets": _targets, "ours": _ours, "curve": _curve, "noise": _noise, "peers": _peers, "cost": _cost}
