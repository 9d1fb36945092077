"""From trials to one row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.judge.intervals import clopper_pearson, quantile
from benchmarks.judge.running import Trial
from benchmarks.judge.scenarios import Scenario


@dataclass(frozen=True)
class Row:
    judge: str
    scenario: str
    name: str
    good: bool
    requests_per_second: float
    margin: float | None
    seeds: tuple[int, int]
    """The first and the last."""
    rollouts: int
    rolled_back: int
    promoted: int
    paused: int
    rolled_back_percent: float
    rolled_back_low_percent: float
    rolled_back_high_percent: float
    """Clopper and Pearson's 95 % interval."""
    wrong_reason: int
    """Of those rolled back."""
    back_seconds_median: float | None
    back_requests_median: float | None
    back_requests_p99: float | None
    bad_served_median: float | None
    """Of those rolled back: the canary's bad requests until then."""
    promoted_seconds_median: float | None
    promoted_seconds_p99: float | None


def row(
    judge: str,
    scenario: Scenario,
    rate: float,
    margin: float | None,
    seeds: tuple[int, int],
    trials: Sequence[Trial],
) -> Row:
    back = [trial for trial in trials if trial.outcome == "rolled_back"]
    promoted = [trial for trial in trials if trial.outcome == "promoted"]
    low, high = clopper_pearson(len(back), len(trials))
    requests = [float(trial.canary_requests) for trial in back]
    wrong = sum(not scenario.good and not set(trial.blamed) & scenario.blame for trial in back)
    return Row(
        judge=judge,
        scenario=scenario.key,
        name=scenario.name,
        good=scenario.good,
        requests_per_second=rate,
        margin=margin,
        seeds=seeds,
        rollouts=len(trials),
        rolled_back=len(back),
        promoted=len(promoted),
        paused=len(trials) - len(back) - len(promoted),
        rolled_back_percent=round(100 * len(back) / len(trials), 2),
        rolled_back_low_percent=round(100 * low, 2),
        rolled_back_high_percent=round(100 * high, 2),
        wrong_reason=wrong,
        back_seconds_median=quantile([trial.seconds for trial in back], 0.5),
        back_requests_median=quantile(requests, 0.5),
        back_requests_p99=quantile(requests, 0.99),
        bad_served_median=quantile([float(trial.canary_bad) for trial in back], 0.5),
        promoted_seconds_median=quantile([trial.seconds for trial in promoted], 0.5),
        promoted_seconds_p99=quantile([trial.seconds for trial in promoted], 0.99),
    )
