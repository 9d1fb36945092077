"""Runs promtool on a mutant: the mutated rule, what it needs, and the cases of the alerts that depend on it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from benchmarks.mutations.mutants import Mutant, Rule, mutants
from ops.alerting.catalogue import SCRAPE_LABELS, by_series
from ops.alerting.model import Alert, Case, Group, Recording
from ops.alerting.queries import readings
from ops.alerting.rendering import rule_file
from ops.alerting.testing import test_file
from ops.alerting.windows import duration
from ops.spec.model import Spec

PROMTOOL_SECONDS_MAX = 300.0
WORKERS = 2
QUICK = 0.2
"""Of an alert's evaluations: the cases that take so few come first, and most mutants need no other."""


@dataclass(frozen=True)
class Checked:
    family: str
    rule: str
    what: str
    found: bool
    """By promtool: at least one case failed."""

    @property
    def title(self) -> str:
        return f"{self.family}: {self.rule}: {self.what}"


@dataclass(frozen=True)
class Job:
    family: str
    name: str
    mutant: Mutant
    groups: tuple[Group, ...]
    alerts: tuple[Alert, ...]
    """As they should be: their cases say what is to be found."""
    recordings: tuple[Recording, ...] = ()
    """Those whose own examples do."""


class BrokenTest(RuntimeError):
    """The unchanged rules fail their own cases."""


def name_of(rule: Rule) -> str:
    return rule.record if isinstance(rule, Recording) else rule.name


def jobs(families: Mapping[str, tuple[Group, ...]], chosen: frozenset[str] = frozenset()) -> Iterator[Job]:
    """A job for each mutant of each rule; of the chosen families only, if any are."""
    groups = tuple(group for made in families.values() for group in made)
    labels = series_labels(groups)
    for family, made in families.items():
        if chosen and family not in chosen:
            continue
        rules: list[Rule] = [rule for group in made for rule in group.recordings]
        rules += [rule for group in made for rule in group.alerts]
        for rule in rules:
            affected = tuple(_affected(rule, groups))
            for mutant in mutants(rule, labels):
                own = (rule,) if isinstance(rule, Recording) else ()
                reduced = _reduced(_needed(groups, affected, own), rule, mutant.rule)
                yield Job(family, name_of(rule), mutant, reduced, affected, own)


def series_labels(groups: tuple[Group, ...]) -> dict[str, frozenset[str]]:
    """The labels of each name's series. A recording has those that its outermost ``by`` names."""
    found = {name: SCRAPE_LABELS.union(*(m.labels for m in metrics)) for name, metrics in by_series().items()}
    for rule in (one for group in groups for one in group.recordings):
        _, by, rest = rule.expression.partition("by (")
        if by:
            found[rule.record] = frozenset(name.strip() for name in rest.partition(")")[0].split(","))
    return found


def check(job: Job, spec: Spec) -> Checked:
    """A recording's own examples first: they are quick, and the cases of all alerts on it are not; of those too, the
    quick ones first."""
    found = bool(job.recordings) and not passes(job.groups, (), job.recordings, spec)
    for alerts in quick_first(job.alerts, spec):
        found = found or not passes(job.groups, alerts, (), spec)
    return Checked(job.family, job.name, job.mutant.what, found)


def quick_first(alerts: tuple[Alert, ...], spec: Spec) -> Iterator[tuple[Alert, ...]]:
    """All cases, in two parts; one where nothing is left for a second."""

    def evaluations(case: Case) -> float:
        return 60 * max((*case.fires, *case.silent)) / (case.evaluation_seconds or spec.alerting.evaluation_seconds)

    quick, others = [], []
    for alert in alerts:
        cases = sorted(alert.cases, key=evaluations)
        most = QUICK * sum(map(evaluations, cases))
        count = max(1, sum(total <= most for total in accumulate(map(evaluations, cases))))
        quick.append(replace(alert, cases=tuple(cases[:count])))
        others.append(replace(alert, cases=tuple(cases[count:])))
    yield tuple(quick)
    if any(alert.cases for alert in others):
        yield tuple(others)


def check_all(work: list[Job], spec: Spec, workers: int = WORKERS) -> Iterator[Checked]:
    """In the order of the jobs. Raises BrokenTest if a family's own rules fail their cases."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda job: check(job, spec), work)


def passes(
    groups: tuple[Group, ...], alerts: tuple[Alert, ...], recordings: tuple[Recording, ...], spec: Spec
) -> bool:
    """Whether promtool finds nothing wrong. Raises RuntimeError if it cannot be run."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        root = Path(folder)
        (root / "rules.yml").write_text(rule_file(groups, spec), encoding="utf-8")
        intervals = {case.evaluation_seconds for alert in alerts for case in alert.cases}
        intervals |= {example.evaluation_seconds for rule in recordings for example in rule.examples}
        files = []
        for interval in sorted(intervals, key=lambda one: one or 0):
            own = [replace(a, cases=tuple(c for c in a.cases if c.evaluation_seconds == interval)) for a in alerts]
            of_recordings = [
                replace(r, examples=tuple(e for e in r.examples if e.evaluation_seconds == interval))
                for r in recordings
            ]
            file = root / f"test-{interval or 'own'}.yml"
            every = duration(interval or spec.alerting.evaluation_seconds)
            file.write_text(test_file(["rules.yml"], own, every, spec, of_recordings), encoding="utf-8")
            files.append(str(file))
        line = ["promtool", "test", "rules", *files]
        done = subprocess.run(line, capture_output=True, text=True, timeout=PROMTOOL_SECONDS_MAX)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"promtool: {done.stderr}")
        return done.returncode == 0


def unchanged(families: Mapping[str, tuple[Group, ...]], spec: Spec, chosen: frozenset[str]) -> None:
    """Raises BrokenTest unless every family passes as it is: a test that always fails finds every mutant."""
    groups = tuple(group for made in families.values() for group in made)
    for family, made in families.items():
        alerts = tuple(alert for group in made for alert in group.alerts)
        recordings = tuple(rule for group in made for rule in group.recordings)
        if chosen and family not in chosen:
            continue
        if not passes(_needed(groups, alerts, recordings), alerts, recordings, spec):
            raise BrokenTest(f"the rules of {family} fail their own cases")


def _affected(rule: Rule, groups: tuple[Group, ...]) -> Iterator[Alert]:
    """The rule itself, or all alerts that read the recording, through others too."""
    if isinstance(rule, Alert):
        yield rule
        return
    for alert in (one for group in groups for one in group.alerts):
        if rule.record in _records(alert, groups):
            yield alert


def _records(rule: Rule, groups: tuple[Group, ...]) -> frozenset[str]:
    """Names of all recordings that the rule reads, through others too."""
    expressions = {one.record: one.expression for group in groups for one in group.recordings}
    found: set[str] = set()
    new = {reading.name for reading in readings(rule.expression)} & set(expressions)
    while new:
        found |= new
        new = {r.name for name in new for r in readings(expressions[name])} & set(expressions) - found
    return frozenset(found)


def _needed(
    groups: tuple[Group, ...], alerts: tuple[Alert, ...], recordings: tuple[Recording, ...]
) -> tuple[Group, ...]:
    names = {alert.name for alert in alerts}
    rules: list[Rule] = [*alerts, *recordings]
    records = {rule.record for rule in recordings}.union(*(_records(rule, groups) for rule in rules))
    kept = (
        replace(
            group,
            recordings=tuple(one for one in group.recordings if one.record in records),
            alerts=tuple(one for one in group.alerts if one.name in names),
        )
        for group in groups
    )
    return tuple(group for group in kept if group.recordings or group.alerts)


def _reduced(groups: tuple[Group, ...], rule: Rule, mutated: Rule) -> tuple[Group, ...]:
    """With the one rule changed."""

    def swapped(one: Rule) -> Rule:
        return mutated if type(one) is type(rule) and name_of(one) == name_of(rule) else one

    return tuple(
        replace(
            group,
            recordings=tuple(one for r in group.recordings if isinstance(one := swapped(r), Recording)),
            alerts=tuple(one for a in group.alerts if isinstance(one := swapped(a), Alert)),
        )
        for group in groups
    )
