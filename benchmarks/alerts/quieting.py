"""Days on which nothing is wrong: whether somebody is paged all the same."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.alerts import traffic
from benchmarks.alerts.evaluating import Firing, firings
from benchmarks.alerts.replaying import CONTENDERS, SPEC_FILE, rings
from ops.adapters.spec_file import load_spec

DAY_SECONDS = 86_400
STEP_SECONDS = 60
"""Between samples and between evaluations: a quarter of the looks that the spec has, so that a year is affordable."""
TIERS = 60
"""Independent services that are watched at once."""


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


def quiet_days(tasks: Sequence[QuietTask], processes: int) -> list[QuietDays]:
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(_quiet, tasks))


def _quiet(task: QuietTask) -> QuietDays:
    contender, spec = CONTENDERS[task.contender], load_spec(SPEC_FILE)
    rng = np.random.default_rng(task.seed)
    tiers = min(TIERS, task.days)
    before = round(contender.before_minutes) * 60
    seconds = before + math.ceil(task.days / tiers) * DAY_SECONDS
    moments = list(range(before, seconds, STEP_SECONDS))
    series = (
        one
        for i in range(tiers)
        for one in traffic.quiet(rng, task.per_minute, f"r{i}", seconds // STEP_SECONDS, STEP_SECONDS)
    )
    with tempfile.TemporaryDirectory() as folder:
        found = firings(Path(folder), "quiet", contender.rules(spec), series, STEP_SECONDS, moments)
    by_run: dict[str, dict[float, list[Firing]]] = {}
    for one in found:
        by_run.setdefault(one.labels["run"], {}).setdefault(one.seconds, []).append(one)
    pages = sum(len(rings(spec, timeline, moments)) for timeline in by_run.values())
    names = sorted({one.labels["alertname"] for one in found})
    return QuietDays(task.contender, task.per_minute, tiers * math.ceil(task.days / tiers), pages, tuple(names))
