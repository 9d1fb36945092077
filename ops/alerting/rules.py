"""All rules of a spec: every family's groups, without those whose series nothing would produce."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ops.alerting import queries
from ops.alerting.catalogue import Source, present
from ops.alerting.families import (
    control,
    database,
    monitoring,
    objectives,
    presence,
    quality,
    resources,
    rollouts,
    saturation,
    usage,
)
from ops.alerting.model import Alert, Group
from ops.spec.model import Spec

Family = Callable[[Spec], tuple[Group, ...]]
FAMILIES: Mapping[str, Family] = {
    "objectives": objectives.soon,
    "lasting": objectives.lasting,
    "budgets": objectives.budgets,
    "saturation": saturation.groups,
    "resources": resources.groups,
    "database": database.groups,
    "control": control.groups,
    "quality": quality.groups,
    "rollouts": rollouts.groups,
    "usage": usage.groups,
    "presence": presence.groups,
    "monitoring": monitoring.groups,
}
"""By the name of the file that holds its rules."""


def sources(spec: Spec) -> frozenset[Source]:
    return present(spec.alerting.exporters)


def families(spec: Spec, known: Mapping[str, Family] = FAMILIES) -> dict[str, tuple[Group, ...]]:
    """Each family's groups. Raises QueryError if a rule reads what no known program exposes."""
    made = {name: family(spec) for name, family in known.items()}
    every = [group for groups in made.values() for group in groups]
    recorded = frozenset(rule.record for group in every for rule in group.recordings)
    for group in every:
        for expression in group.expressions:
            queries.check(expression, recorded, frozenset(Source))
    there = sources(spec)
    kept = {name: tuple(_reduced(group, recorded, there) for group in groups) for name, groups in made.items()}
    return {name: tuple(one for one in groups if one.recordings or one.alerts) for name, groups in kept.items()}


def alerts(spec: Spec) -> tuple[Alert, ...]:
    return tuple(alert for groups in families(spec).values() for group in groups for alert in group.alerts)


def _reduced(group: Group, recorded: frozenset[str], there: frozenset[Source]) -> Group:
    def produced(expression: str) -> bool:
        try:
            queries.check(expression, recorded, there)
        except queries.QueryError:
            return False
        return True

    return replace(
        group,
        recordings=tuple(rule for rule in group.recordings if produced(rule.expression)),
        alerts=tuple(rule for rule in group.alerts if produced(rule.expression)),
    )
