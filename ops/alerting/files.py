"""Every generated file of the alerts, by its path in the repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

from ops.alerting.model import Alert, Group, Severity
from ops.alerting.queries import readings
from ops.alerting.rendering import rule_file
from ops.alerting.routing import configuration
from ops.alerting.rules import families
from ops.alerting.runbooks import INDEX, index, page
from ops.alerting.testing import test_file
from ops.alerting.windows import duration
from ops.spec.model import Spec

ALERTS, RUNBOOKS = PurePath("alerts"), PurePath("runbooks")
RULES = ALERTS / "rules"
ALERTMANAGER = ALERTS / "alertmanager.yml"
Families = Mapping[str, tuple[Group, ...]]


def files(spec: Spec) -> dict[PurePath, str]:
    """Raises QueryError."""
    found = {ALERTMANAGER: configuration(spec.alerting)}
    made = families(spec)
    every: list[Alert] = []
    for name, groups in made.items():
        found[RULES / f"{name}.yml"] = rule_file(groups, spec)
        found |= _tests(spec, name, made)
        alerts = [alert for group in groups for alert in group.alerts]
        found |= {RUNBOOKS / f"{alert.name}.md": page(alert, f"../{RULES}/{name}.yml", spec) for alert in alerts}
        every += alerts
    categories = {Severity(severity): names for severity, names in spec.alerting.categories}
    found[RUNBOOKS / INDEX] = index(every, categories)
    return found


def installed_name(service: str, family: str) -> str:
    """Of a rule file in a folder that rules of others share."""
    return f"{service}-{family}.yml"


def rule_texts(spec: Spec) -> dict[str, str]:
    """The rule files alone, by family. Raises QueryError."""
    return {name: rule_file(groups, spec) for name, groups in families(spec).items()}


def _tests(spec: Spec, name: str, made: Families) -> dict[PurePath, str]:
    """One file for each interval of evaluation: promtool knows one a file."""
    alerts = [alert for group in made[name] for alert in group.alerts]
    rules = [rule for group in made[name] for rule in group.recordings]
    intervals = {case.evaluation_seconds for alert in alerts for case in alert.cases}
    intervals |= {example.evaluation_seconds for rule in rules for example in rule.examples}
    rule_files = [f"../rules/{needed}.yml" for needed in _needed(name, made)]
    found = {}
    for interval in intervals:
        chosen = [replace(a, cases=tuple(c for c in a.cases if c.evaluation_seconds == interval)) for a in alerts]
        kept = [replace(r, examples=tuple(e for e in r.examples if e.evaluation_seconds == interval)) for r in rules]
        every = duration(interval or spec.alerting.evaluation_seconds)
        file = name if interval is None else f"{name}.{every}"
        found[ALERTS / "tests" / f"{file}.yml"] = test_file(rule_files, chosen, every, spec, kept)
    return found


def _needed(name: str, made: Families) -> list[str]:
    """The family and those whose recordings it reads, through others too: promtool evaluates all that it is given."""
    recorder = {rule.record: family for family, groups in made.items() for group in groups for rule in group.recordings}
    needed: set[str] = set()
    new = {name}
    while new:
        needed |= new
        read = {
            reading.name
            for family in new
            for group in made[family]
            for expression in group.expressions
            for reading in readings(expression)
        }
        new = {recorder[one] for one in read if one in recorder} - needed
    return [family for family in made if family in needed]
