"""Incidents through a contender's rules, many in one call of promtool, and what came of each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from benchmarks.alerts import peers, traffic
from benchmarks.alerts.evaluating import Firing, firings, with_runs
from benchmarks.alerts.incidents import Incident
from benchmarks.alerts.paging import pages
from ops.adapters.spec_file import load_spec
from ops.alerting.families import objectives
from ops.alerting.inhibiting import inhibitions
from ops.alerting.rendering import rule_file
from ops.spec.model import Spec

SPEC_FILE = Path(__file__).resolve().parents[2] / "gratefulgpt.yaml"
BATCH = 24
LATENCY_BUDGET = 0.05
GRACE_SECONDS = 60
"""A page of an incident that has just ended is still its own."""
Timeline = Mapping[float, Sequence[Firing]]
"""By seconds from the incident's beginning."""


@dataclass(frozen=True)
class Contender:
    name: str
    before_minutes: float
    """Quiet time that its longest window wants to have seen."""
    every: int
    """Its evaluations, in samples."""
    after_minutes: float
    """Replayed beyond an incident's end."""
    rules: Callable[[Spec], str]

    @property
    def step_seconds(self) -> int:
        return self.every * traffic.STEP_SECONDS


def _ours(spec: Spec) -> str:
    return with_runs(rule_file(objectives.soon(spec), spec))


def _slos(spec: Spec) -> tuple[peers.Slo, ...]:
    budget = (100 - spec.targets.availability_percent) / 100
    return (peers.Slo("availability", budget), peers.Slo("latency", LATENCY_BUDGET))


CONTENDERS = {
    one.name: one
    for one in (
        Contender("ours", 65, 1, 15, _ours),
        Contender("sloth", 366, 2, 45, lambda spec: yaml.safe_dump(peers.sloth(_slos(spec)))),
        Contender("pyrra", 366, 2, 45, lambda spec: yaml.safe_dump(peers.pyrra(_slos(spec)))),
    )
}


@dataclass(frozen=True)
class Replay:
    contender: str
    row: str
    kind: str
    per_minute: float
    seed: int
    should_page: bool | None
    paged_minutes: float | None
    """From its beginning to the first page; None where there was none before its end."""
    reset_minutes: float | None
    """From its end until nothing critical fires; None where nothing fired."""
    pages: int
    pages_by_tier: int
    """If critical alerts were grouped by tier."""
    alerts: tuple[str, ...]


def replay_all(
    incidents: Sequence[Incident], contender: str, processes: int, spec: Spec | None = None
) -> list[Replay]:
    """``spec``: the reference spec, if it is not given."""
    used = spec or load_spec(SPEC_FILE)
    ordered = sorted(incidents, key=lambda one: one.minutes)
    batches = [ordered[i : i + BATCH] for i in range(0, len(ordered), BATCH)]
    with ProcessPoolExecutor(processes) as pool:
        found = list(pool.map(_replayed, batches, [contender] * len(batches), [used] * len(batches)))
    return [replay for batch in found for replay in batch]


def _replayed(batch: Sequence[Incident], name: str, spec: Spec) -> list[Replay]:
    contender = CONTENDERS[name]
    step, before = contender.step_seconds, contender.before_minutes
    series = [
        one
        for i, incident in enumerate(batch)
        for one in traffic.series(incident, f"r{i}", before, contender.after_minutes, contender.every)
    ]
    longest = max(one.minutes for one in batch) + contender.after_minutes
    at = [before * 60 + i * step for i in range(int(longest * 60 / step))]
    with tempfile.TemporaryDirectory() as folder:
        seen = firings(Path(folder), name, contender.rules(spec), series, step, at)
    by_run: dict[str, dict[float, list[Firing]]] = {}
    for firing in seen:
        by_run.setdefault(firing.labels["run"], {}).setdefault(firing.seconds - before * 60, []).append(firing)
    return [_outcome(spec, incident, contender, by_run.get(f"r{i}", {})) for i, incident in enumerate(batch)]


def _outcome(spec: Spec, incident: Incident, contender: Contender, firing: Timeline) -> Replay:
    step = contender.step_seconds
    end, last = incident.minutes * 60, (incident.minutes + contender.after_minutes) * 60
    moments = np.arange(0, last, step).tolist()
    rung = rings(spec, firing, moments)
    fired = [second for second in firing if second < last]
    in_time = [second for second in rung if second <= end + GRACE_SECONDS]
    return Replay(
        contender=contender.name,
        row=incident.row,
        kind=incident.kind,
        per_minute=incident.per_minute,
        seed=incident.seed,
        should_page=incident.pages,
        paged_minutes=in_time[0] / 60 if in_time else None,
        reset_minutes=max(0.0, (max(fired) + step - end) / 60) if fired else None,
        pages=len(rung),
        pages_by_tier=len(rings(spec, firing, moments, ("tier",))),
        alerts=tuple(sorted({one.labels["alertname"] for all_of in firing.values() for one in all_of})),
    )


def rings(spec: Spec, firing: Timeline, moments: Sequence[float], by: tuple[str, ...] | None = None) -> list[float]:
    """When the pager rings, with the spec's routing; ``by`` stands for its grouping."""
    found = next(one.grouping for one in spec.alerting.routes if one.severity == "critical" and not one.categories)
    grouping = found if by is None else found.model_copy(update={"by": by})
    timeline = [(moment, [one.labels for one in firing.get(moment, [])]) for moment in moments]
    return pages(timeline, grouping, inhibitions())
