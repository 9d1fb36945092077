"""Contradictions among the suites of load, the tasks that they ask for, and what the API takes."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose

from ops.spec.contradictions.common import at_most, unique
from ops.spec.draft import Draft
from ops.spec.faults import Finding, Path, figure, nearest, one_of, quoted

LOAD: Path = ("load",)
REPLICAS_MIN = 2
"""Steps of replicas, so that there is anything to compare."""

PERIODS_MAX = 1000
"""Each is a few straight lines of the plan."""


def loading_contradictions(draft: Draft) -> Iterator[Finding]:
    yield from _mix(draft, LOAD)
    yield from _lengths(draft, LOAD, LOAD)
    for name in draft.keys("load", "suites"):
        suite: Path = ("load", "suites", name)
        yield from _mix(draft, suite)
        yield from _lengths(draft, suite, suite if draft.keys(*suite, "mix_percent") else LOAD)
        yield from _stages(draft, suite)


def _mix(draft: Draft, at: Path) -> Iterator[Finding]:
    tasks, mix = draft.keys("api", "tasks"), draft.keys(*at, "mix_percent")
    for task in mix:
        if tasks and task not in tasks:
            place = (*at, "mix_percent", task)
            yield Finding(place, "no such task in api.tasks", quoted(task), one_of(tasks), nearest(task, tasks))
    shares = [draft.number(*at, "mix_percent", task) for task in mix]
    known = [share for share in shares if share is not None]
    if known and len(known) == len(shares) and not isclose(sum(known), 100):
        total = figure(round(sum(known), 6))
        yield Finding((*at, "mix_percent"), "the shares of the mix do not sum to 100", total, "100")


def _lengths(draft: Draft, at: Path, mix_at: Path) -> Iterator[Finding]:
    """The middle of what is asked for is within what every task of the mix takes."""
    limit = ("api", "limits", "prompt_chars_max")
    yield from at_most(draft, (*at, "prompt_chars", "median"), limit, "longer than the gateway takes")
    median = draft.number(*at, "output_tokens", "median")
    for task in draft.keys(*mix_at, "mix_percent"):
        cap = _cap(draft, task)
        if median is not None and cap is not None and median > cap:
            place = (*at, "output_tokens", "median")
            yield Finding(place, f"above the cap of task '{task}' of the mix", figure(median), f"at most {figure(cap)}")
            return


def _cap(draft: Draft, task: str) -> float | int | None:
    own = draft.number("api", "tasks", task, "output_tokens_max")
    task_class = draft.text("api", "tasks", task, "class") or ""
    return own if own is not None else draft.number("task_classes", task_class, "output_tokens_max")


def _stages(draft: Draft, suite: Path) -> Iterator[Finding]:
    place = (*suite, "stages")
    numbers = draft.indices(*place)
    names = [((*place, i, "name"), name) for i in numbers if (name := draft.text(*place, i, "name"))]
    yield from unique(names, "the name")
    measured = [draft.at(*place, i, "measured") for i in numbers]
    if measured and all(one is False for one in measured):
        yield Finding(place, "no stage is measured, so nothing would be judged", "measured: false", "one without it")
    closed = draft.text(*suite, "arrivals") == "users"
    for i in numbers:
        yield from _stage(draft, (*place, i), closed)
    if draft.text(*suite, "find") == "efficiency":
        yield from _replicas(draft, place)


def _stage(draft: Draft, stage: Path, closed: bool) -> Iterator[Finding]:
    if draft.number(*stage, "percent") == 0 and not draft.number(*stage, "from_percent"):
        yield Finding((*stage, "percent"), "a stage without load", "0", "more than 0, or a from_percent")
    for name in ("swing", "bursts"):
        if closed and draft.at(*stage, name) is not None:
            why = "closed users come by the stage's percent alone"
            yield Finding((*stage, name), why, name, "arrivals: poisson or constant")
    for name, key in (("swing", "seconds"), ("bursts", "every_seconds")):
        period, seconds = draft.number(*stage, name, key), draft.number(*stage, "seconds")
        if period is not None and seconds is not None and seconds > PERIODS_MAX * period:
            least = f"at least {figure(seconds / PERIODS_MAX)}"
            yield Finding((*stage, name, key), f"more than {PERIODS_MAX} periods in a stage", figure(period), least)
    length, every = draft.number(*stage, "bursts", "seconds"), draft.number(*stage, "bursts", "every_seconds")
    if length is not None and every is not None and length >= every:
        place = (*stage, "bursts", "seconds")
        yield Finding(place, "a burst does not end before the next", figure(length), f"less than {figure(every)}")


def _replicas(draft: Draft, place: Path) -> Iterator[Finding]:
    found = [draft.number(*place, i, "replicas") for i in draft.indices(*place)]
    for i, replicas in enumerate(found):
        if replicas is None and draft.at(*place, i, "replicas") is None and draft.number(*place, i, "seconds"):
            yield Finding((*place, i), "efficiency needs to know the replicas of each stage", "none", "replicas: N")
    if len({one for one in found if one is not None}) < REPLICAS_MIN and None not in found:
        yield Finding(place, "efficiency is a matter of growth", "one number of replicas", "two or more")
