"""From samples to a verdict. Pure.

An answer that is wrong is a failure, be it one. A latency target is about a share of the answers (p95), so a few slow
ones are judged as that: shown to be over it, within it, or too few to tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

from ops.verdict import Evidence, Outcome, Verdict, combine

SLOW_SHARE = 0.05
"""What a p95 target allows over it."""
CHANCE_MAX = 0.01
"""A service that just meets its target is failed wrongly no more often than this."""
LAG_SHARE_MAX = 0.25
"""The prober's own lag beyond this part of a target makes its latencies worthless."""


@dataclass(frozen=True)
class Sample:
    """One request and what became of it."""

    probe: str
    latency_seconds: float
    lag_seconds: float = 0.0
    """How late the prober itself was meanwhile."""
    task_class: str | None = None
    """Of tasks: whose target the latency is held against."""
    problem: str | None = None
    """Why the answer is not what a user should get; never its content."""
    blind: str | None = None
    """Why the prober could not ask at all, through no fault of the service."""


def judge(samples: Sequence[Sample], targets_seconds: Mapping[str, float]) -> Verdict:
    """The verdict over all samples; ``targets_seconds`` is the p95 target by task class."""
    verdicts = [_answers([s for s in samples if s.probe == name]) for name in dict.fromkeys(s.probe for s in samples)]
    for name, target in targets_seconds.items():
        answered = [s for s in samples if s.task_class == name and s.problem is None and s.blind is None]
        if answered:
            verdicts.append(_latency(name, answered, target))
    return combine(verdicts)


def _answers(samples: Sequence[Sample]) -> Verdict:
    name = samples[0].probe
    blind = [s.blind for s in samples if s.blind is not None]
    problems = [s.problem for s in samples if s.problem is not None]
    asked = len(samples) - len(blind)
    values: dict[str, float | int | str] = {"probe": name, "asked": asked, "failed": len(problems), "blind": len(blind)}
    if problems:
        commonest = max(dict.fromkeys(problems), key=problems.count)
        text = f"{name}: {len(problems)} of {asked} answers are wrong: {commonest}"
        return Verdict(Outcome.FAIL, (Evidence(text, values),))
    if blind:
        return Verdict(Outcome.INVALID, (Evidence(f"{name}: could not be asked: {blind[0]}", values),))
    return Verdict(Outcome.PASS, (Evidence(f"{name}: {asked} of {asked} answers are right", values),))


def _latency(task_class: str, samples: Sequence[Sample], target: float) -> Verdict:
    count = len(samples)
    late = sum(1 for s in samples if s.lag_seconds > LAG_SHARE_MAX * target)
    slow = sum(1 for s in samples if s.latency_seconds > target)
    worst = max(s.latency_seconds for s in samples)
    values: dict[str, float | int | str] = {
        "class": task_class,
        "answers": count,
        "over_target": slow,
        "target_seconds": target,
        "max_seconds": round(worst, 4),
    }
    found = f"{task_class}: {slow} of {count} answers took longer than {target:g} s (at most {worst:.3f} s)"
    if late > SLOW_SHARE * count:
        text = f"{task_class}: the prober itself was late for {late} of {count} answers, so its latencies say nothing"
        return Verdict(Outcome.INVALID, (Evidence(text, {**values, "late": late}),))
    if slow <= SLOW_SHARE * count:
        return Verdict(Outcome.PASS, (Evidence(found, values),))
    chance = at_least(slow, count, SLOW_SHARE)
    if chance <= CHANCE_MAX:
        return Verdict(Outcome.FAIL, (Evidence(f"{found}: over its p95 target", {**values, "chance": chance}),))
    return Verdict(
        Outcome.INCONCLUSIVE, (Evidence(f"{found}: too few to tell of a p95", {**values, "chance": round(chance, 4)}),)
    )


def at_least(successes: int, trials: int, probability: float) -> float:
    """The chance of so many successes or more, each of ``probability``: the binomial's upper tail."""
    below = (comb(trials, k) * probability**k * (1 - probability) ** (trials - k) for k in range(successes))
    return max(0.0, 1.0 - sum(below))
