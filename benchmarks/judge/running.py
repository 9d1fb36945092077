"""Rollouts in parallel: each is drawn from a seed of its own, so that any of them can be repeated alone."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import numpy as np

from benchmarks.judge.contenders import INTERVALS_SECONDS, Contender, Usual, answers, stages, usual
from benchmarks.judge.scenarios import Scenario
from benchmarks.judge.series import Recorded, record
from benchmarks.judge.traffic import against_stable, reference_plan
from ops.judge.imagining import Traffic
from ops.judge.simulating import simulate

_CHUNK = 5
Task = TypeVar("Task")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Trial:
    """A rollout's end, of whichever judge."""

    outcome: str
    seconds: float
    canary_requests: int
    canary_bad: int
    """Requests to the canary that were slower than stable's p98 of their cell, unanswered, failed or empty."""
    blamed: tuple[str, ...]


@dataclass(frozen=True)
class OurTask:
    scenario: Scenario
    traffic: Traffic
    rate: float
    margin: float | None
    seed: int
    look_seconds: float | None = None


@dataclass(frozen=True)
class PeerTask:
    judge: str
    scenario: Scenario
    traffic: Traffic
    rate: float
    seed: int
    wanted: frozenset[Contender] | None = None
    """Only these; None: all."""


def traffic_of(scenario: Scenario, base: Traffic, rate: float) -> Traffic:
    return replace(base, requests_per_second=rate, **dict(scenario.traffic))  # type: ignore[arg-type]


@cache
def _plan(margin: float | None, stable: bool):  # type: ignore[no-untyped-def]
    plan = reference_plan(margin)
    return against_stable(plan) if stable else plan


def our_trial(task: OurTask) -> Trial:
    scenario, plan = task.scenario, _plan(task.margin, task.scenario.stable)
    if task.look_seconds is not None:
        plan = replace(plan, pace=replace(plan.pace, look_seconds=task.look_seconds))
    done = simulate(
        plan,
        traffic_of(scenario, task.traffic, task.rate),
        scenario.release,
        np.random.default_rng(task.seed),
        scenario.outage,
        scenario.restarts,
        scenario.unseen,
    )
    return Trial(done.outcome, done.seconds, done.canary_requests, done.canary_bad, done.blamed)


@cache
def _usual(traffic: Traffic) -> Usual:
    return usual(traffic)


def peer_trials(task: PeerTask) -> dict[Contender, Trial]:
    """One drawn rollout before every contender of a judge (Flagger's weights move with its interval: one for each)."""
    scenario, traffic = task.scenario, traffic_of(task.scenario, task.traffic, task.rate)
    known = _usual(replace(task.traffic, requests_per_second=20.0))
    found: dict[Contender, Trial] = {}
    seen: Recorded | None = None
    for interval in INTERVALS_SECONDS if task.judge != "Kayenta" else (60.0,):
        if task.wanted and not any(c.judge == "Kayenta" or c.setting[1] == interval for c in task.wanted):
            continue
        if seen is None or task.judge == "Flagger":
            seen = record(
                stages(task.judge, scenario.stable, interval),
                traffic,
                scenario.release,
                np.random.default_rng(task.seed),
                scenario.outage,
                bool(scenario.unseen),
            )
        for contender, answer in answers(task.judge, seen, known, interval):
            if task.wanted is None or contender in task.wanted:
                requests = int(np.searchsorted(seen.arrivals, answer.seconds))
                bad = int(np.searchsorted(seen.bad, answer.seconds))
                found[contender] = Trial(answer.verdict.value, answer.seconds, requests, bad, answer.blamed)
    return found


def in_parallel(work: Callable[[Task], Done], tasks: Iterable[Task], processes: int) -> Iterator[Done]:
    """In the tasks' order."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(work, tasks, chunksize=_CHUNK)


def by_contender(done: Iterable[dict[Contender, Trial]]) -> dict[Contender, list[Trial]]:
    found: dict[Contender, list[Trial]] = defaultdict(list)
    for trials in done:
        for contender, trial in trials.items():
            found[contender].append(trial)
    return dict(found)
