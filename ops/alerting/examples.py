"""Rule tests of recordings: what they have at which time, worked out from what is fed in.

Each feeds two classes, and every objective, so that a label or a matcher that is lost shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ops.alerting.cases import counter, gauge
from ops.alerting.model import Example, Look, Series

STEP_SECONDS = 15
BURST = 10
"""Increments in a row."""
CLASSES = {"query": 1.0, "completion": 2.0}
"""What each class grows by, a worker and a step."""
WORKERS = ("10.0.0.2:9001", "10.0.0.2:9002")
TIER = "production"
LONG_SECONDS = 10 * 86_400
"""Windows beyond it are evaluated rarely, or a test would take minutes."""
RARELY_SECONDS = 21_600


def of_increase(metric: str, window_seconds: float, objectives: Iterable[str], wanted: frozenset[str]) -> Example:
    """Of a recording that sums a counter's increase over workers: steady growth, for longer than the window."""
    steps = round(window_seconds / STEP_SECONDS)

    def growth(each: float) -> list[float]:
        return [0.0, *[each] * (steps + 4)]

    inputs = tuple(
        counter(f'{metric}{{job="gateway",instance="{worker}",{_labels(task_class, one)}}}', growth(each))
        for worker in WORKERS
        for task_class, each in CLASSES.items()
        for one in objectives
    )
    samples = _samples(wanted, lambda each: len(WORKERS) * each * steps)
    return Example("steady growth", inputs, (Look((steps + 4) * STEP_SECONDS / 60, samples),), STEP_SECONDS)


def of_sum(
    source: str, window_seconds: float, step_seconds: int, objectives: Iterable[str], wanted: frozenset[str]
) -> Example:
    """Of a recording that sums increments over a window: a burst that is in it to the last, and then is not.

    Nothing follows the burst: promtool keeps at most 10,000 samples in memory.
    """
    evaluation = step_seconds if window_seconds <= LONG_SECONDS else RARELY_SECONDS
    past = window_seconds + max(2 * BURST * step_seconds, evaluation)
    past += -past % evaluation
    inputs = tuple(
        gauge(f"{source}{{{_labels(task_class, one)}}}", [0.0, *[each] * BURST, None])
        for task_class, each in CLASSES.items()
        for one in objectives
    )
    looks = (
        Look(window_seconds / 60, _samples(wanted, lambda each: BURST * each)),
        Look(past / 60, ()),
    )
    return Example("a burst, until the window has passed", inputs, looks, step_seconds, evaluation)


def of_budget(
    source: Callable[[str], str], budget_ratio: float, objectives: Iterable[str], wanted: frozenset[str], by_class: bool
) -> Example:
    """Of what is left of a budget: a part of the requests has missed."""
    requests, inputs = 1024.0, list[Series]()
    for task_class, each in CLASSES.items():
        for one in objectives:
            for what, value in (("requests", requests), ("misses", each)):
                inputs.append(gauge(f"{source(what)}{{{_labels(task_class, one)}}}", [value] * 4))
    if by_class:
        samples = _samples(wanted, lambda each: 1 - each / requests / budget_ratio)
    else:
        share = sum(CLASSES.values()) / (requests * len(CLASSES))
        samples = tuple(({"tier": TIER, "objective": one}, 1 - share / budget_ratio) for one in sorted(wanted))
    name, looks = "a part of the requests missed", (Look(0, samples),)
    return Example(name, tuple(inputs), looks, evaluation_seconds=RARELY_SECONDS)


def _labels(task_class: str, objective: str) -> str:
    return f'tier="{TIER}",task_class="{task_class}",objective="{objective}"'


def _samples(wanted: frozenset[str], value: Callable[[float], float]) -> tuple[tuple[dict[str, str], float], ...]:
    return tuple(
        ({"tier": TIER, "task_class": task_class, "objective": one}, value(each))
        for task_class, each in CLASSES.items()
        for one in sorted(wanted)
    )
