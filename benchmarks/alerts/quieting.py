"""Days on which nothing is wrong: whether somebody is paged all the same.

Our rules are looked at as often as the spec says. Each evaluation of every day is screened by ``screening``; what comes
near to a rule is replayed by the rule engine. Peers' rules are replayed as a whole, with fewer looks.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.alerts import screening, traffic
from benchmarks.alerts.evaluating import Firing, firings
from benchmarks.alerts.replaying import CONTENDERS, SPEC_FILE, Contender, rings
from benchmarks.alerts.screening import Counts
from ops.adapters.spec_file import load_spec
from ops.spec.model import Spec

DAY_SECONDS = 86_400
SPARSE_SECONDS = 60
"""Between samples and between evaluations of peers: a quarter of the spec's looks."""
TIERS = 60
"""Independent services that are watched at once."""
BATCH = 60
"""Stretches in one call of promtool."""
AFTER_SECONDS = 900
"""Replayed beyond what is near a rule: alerts are kept firing, and a group is open until its next interval."""


@dataclass(frozen=True)
class QuietTask:
    contender: str
    per_minute: float
    days: int
    seed: int


@dataclass(frozen=True)
class QuietDays:
    contender: str
    per_minute: float
    days: int
    pages: int
    alerts: tuple[str, ...]
    step_seconds: int
    """Between two evaluations."""
    replayed_minutes: float
    """Of them, by the rule engine."""


def quiet_days(tasks: Sequence[QuietTask], processes: int) -> Iterator[QuietDays]:
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(_quiet, tasks)


def _quiet(task: QuietTask) -> QuietDays:
    contender, spec = CONTENDERS[task.contender], load_spec(SPEC_FILE)
    return screened(task, contender, spec) if task.contender == "ours" else _whole(task, contender, spec)


@dataclass(frozen=True)
class Stretch:
    """Counts of a service, from ``before`` a moment at which a rule is near."""

    counts: Counts
    steps: int


def screened(task: QuietTask, contender: Contender, spec: Spec, margin: float = screening.MARGIN) -> QuietDays:
    """``margin`` 0 replays everything."""
    step, rng = traffic.STEP_SECONDS, np.random.default_rng(task.seed)
    before = math.ceil(contender.before_minutes * 60 / step)
    tiers = min(TIERS, task.days)
    each = math.ceil(task.days / tiers)
    steps = before + each * DAY_SECONDS // step
    wanted = screening.conditions(spec)
    found = [
        stretch
        for _ in range(tiers)
        for stretch in _stretches(traffic.quiet(rng, task.per_minute, steps), wanted, before, margin)
    ]
    ordered = sorted(found, key=lambda one: one.steps)
    pages, alerts = 0, set()
    for i in range(0, len(ordered), BATCH):
        for rung, names in _replayed(ordered[i : i + BATCH], contender, spec, before):
            pages += rung
            alerts |= names
    minutes = sum(one.steps - before for one in found) * step / 60
    return QuietDays(task.contender, task.per_minute, tiers * each, pages, tuple(sorted(alerts)), step, minutes)


def _stretches(
    counts: Counts, wanted: tuple[screening.Condition, ...], before: int, margin: float
) -> Iterator[Stretch]:
    near = screening.near(counts, wanted, margin) if margin else np.ones(len(counts["latency"][0]), bool)
    near[:before] = False
    after = AFTER_SECONDS // traffic.STEP_SECONDS
    for first, end in screening.stretches(near, before, after, after):
        cut = {name: (requests[first:end], misses[first:end]) for name, (requests, misses) in counts.items()}
        yield Stretch(cut, len(cut["latency"][0]))


def _replayed(
    batch: Sequence[Stretch], contender: Contender, spec: Spec, before: int
) -> Iterator[tuple[int, set[str]]]:
    """Of each stretch its pages, and which alerts fired."""
    step = traffic.STEP_SECONDS
    series = (one for i, stretch in enumerate(batch) for one in traffic.counters(stretch.counts, f"r{i}"))
    moments = [at * step for at in range(before, max(one.steps for one in batch))]
    with tempfile.TemporaryDirectory() as folder:
        by_run = _by_run(firings(Path(folder), "quiet", contender.rules(spec), series, step, moments))
    for i, stretch in enumerate(batch):
        own = [at for at in moments if at < stretch.steps * step]
        timeline = {at: all_of for at, all_of in by_run.get(f"r{i}", {}).items() if at < stretch.steps * step}
        yield len(rings(spec, timeline, own)), {one.labels["alertname"] for of in timeline.values() for one in of}


def _by_run(found: Sequence[Firing]) -> Mapping[str, dict[float, list[Firing]]]:
    by_run: dict[str, dict[float, list[Firing]]] = {}
    for one in found:
        by_run.setdefault(one.labels["run"], {}).setdefault(one.seconds, []).append(one)
    return by_run


def _whole(task: QuietTask, contender: Contender, spec: Spec) -> QuietDays:
    rng = np.random.default_rng(task.seed)
    tiers = min(TIERS, task.days)
    each = math.ceil(task.days / tiers)
    before = round(contender.before_minutes) * 60
    seconds = before + each * DAY_SECONDS
    moments = list(range(before, seconds, SPARSE_SECONDS))
    every, steps = SPARSE_SECONDS // traffic.STEP_SECONDS, seconds // traffic.STEP_SECONDS
    series = (
        one
        for i in range(tiers)
        for one in traffic.counters(traffic.quiet(rng, task.per_minute, steps), f"r{i}", every, traffic.OF_ALL)
    )
    with tempfile.TemporaryDirectory() as folder:
        by_run = _by_run(firings(Path(folder), "quiet", contender.rules(spec), series, SPARSE_SECONDS, moments))
    pages = sum(len(rings(spec, timeline, moments)) for timeline in by_run.values())
    names = {one.labels["alertname"] for timeline in by_run.values() for of in timeline.values() for one in of}
    minutes = tiers * each * DAY_SECONDS / 60
    return QuietDays(
        task.contender, task.per_minute, tiers * each, pages, tuple(sorted(names)), SPARSE_SECONDS, minutes
    )
