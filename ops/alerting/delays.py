"""How long an alert may take to fire, and to end, by the windows of its own rule and of what it reads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import promql_parser as promql

from ops.alerting.model import Alert, Group
from ops.alerting.queries import readings

INTERVALS = 3
"""Of evaluation: a sample is as old as one when it is read, the rule is looked at one later, told again after one."""
SLACK_SECONDS = 10.0
"""Chosen: Prometheus spreads its scrapes and evaluations over their intervals, and a busy machine is late with them."""


@dataclass(frozen=True)
class Delay:
    """In seconds from the moment at which the cause has begun, or ended, for good."""

    fire_seconds: float
    resolve_seconds: float


def delay(name: str, groups: Iterable[Group]) -> Delay:
    """Of the alert of that name. Raises KeyError if no group has it, QueryError for an expression that is none."""
    every = tuple(groups)
    group, alert = _found(name, every)
    recorded = {rule.record: (rule.expression, one) for one in every for rule in one.recordings}
    window = _window(alert.expression, group, recorded)
    waits = INTERVALS * group.interval_seconds + SLACK_SECONDS
    return Delay(window + alert.for_seconds + waits, window + alert.keep_firing_seconds + waits)


def _found(name: str, groups: Iterable[Group]) -> tuple[Group, Alert]:
    for group in groups:
        for alert in group.alerts:
            if alert.name == name:
                return group, alert
    raise KeyError(name)


def _window(expression: str, group: Group, recorded: Mapping[str, tuple[str, Group]]) -> float:
    """The longest that it looks back, through recordings too; those of another group are evaluated at another time."""
    longest = 0.0
    for reading in readings(expression):
        back = reading.seconds or 0.0
        if reading.name in recorded:
            inner, of = recorded[reading.name]
            back += _window(inner, of, recorded) + (0.0 if of is group else of.interval_seconds)
        longest = max(longest, back)
    return longest + _subquery(expression)


def _subquery(expression: str) -> float:
    """The longest of its subqueries, within which all others look back."""
    found = [0.0]

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.SubqueryExpr) and node.range:
            found.append(node.range.total_seconds())

    promql.walk(promql.parse(expression), visit)
    return max(found)
