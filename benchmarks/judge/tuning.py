"""Each peer's settings, chosen on other seeds and another shape of service than those on which all are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.judge.contenders import CONTENDERS, Contender
from benchmarks.judge.running import PeerTask, Trial, by_contender, in_parallel, peer_trials
from benchmarks.judge.scenarios import AA, FAILING, NOISE_10, SLOW_2, SLOW_12, SLOW_15
from benchmarks.judge.traffic import TUNING

JUDGES = ("Argo", "Flagger", "Kayenta")
SEED = 1_000_000
RATE = 20.0
FALSE_MOST = 0.02
GOOD, BAD = (AA, NOISE_10), (SLOW_12, SLOW_15, SLOW_2, FAILING)


@dataclass(frozen=True)
class Point:
    """A setting's place on the curve between false rollbacks and misses."""

    contender: Contender
    false: float
    """Of A/A rollouts without replica noise."""
    false_with_noise: float
    found: float
    """Of the bad ones, the mean over them."""


def curve(rollouts: int, processes: int) -> list[Point]:
    done: dict[Contender, dict[str, list[Trial]]] = {contender: {} for contender in CONTENDERS}
    for judge in JUDGES:
        for scenario in (*GOOD, *BAD):
            tasks = (PeerTask(judge, scenario, TUNING, RATE, SEED + seed) for seed in range(rollouts))
            for contender, trials in by_contender(in_parallel(peer_trials, tasks, processes)).items():
                done[contender][scenario.key] = trials
    return [_point(contender, trials) for contender, trials in done.items()]


def _point(contender: Contender, trials: Mapping[str, list[Trial]]) -> Point:
    return Point(
        contender,
        _back(trials[AA.key]),
        _back(trials[NOISE_10.key]),
        sum(_back(trials[scenario.key]) for scenario in BAD) / len(BAD),
    )


def _back(trials: list[Trial]) -> float:
    return sum(trial.outcome == "rolled_back" for trial in trials) / len(trials)


def chosen(points: list[Point], judge: str) -> tuple[Point, ...]:
    """The judge at its best twice: most bad releases found with at most 2 % of good ones rolled back (or the fewest
    where no setting reaches that), and the largest difference between the two shares."""
    own = [point for point in points if point.contender.judge == judge]
    allowed = [point for point in own if point.false <= FALSE_MOST]
    careful = (
        max(allowed, key=lambda point: point.found)
        if allowed
        else min(own, key=lambda point: (point.false, -point.found))
    )
    keen = max(own, key=lambda point: point.found - point.false)
    return (careful,) if keen == careful else (careful, keen)
