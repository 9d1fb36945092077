"""What Alertmanager makes of firing alerts: groups, inhibition, and how many pages there are.

A small simulation of Alertmanager 0.25 with the spec's own grouping and inhibition. A page is a critical group's first
notification; what is added to a group that is still open is told, but calls nobody again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ops.alerting.inhibiting import Inhibition
from ops.spec.receiving import Grouping

Labels = Mapping[str, str]
_MATCHER = re.compile(r'^(\w+)(=~|!~|!=|=)"(.*)"$')


@dataclass
class _Group:
    flush_at: float
    told: set[frozenset[tuple[str, str]]] = field(default_factory=set)
    paged: bool = False


def pages(
    timeline: Sequence[tuple[float, Sequence[Labels]]], grouping: Grouping, inhibitions: Iterable[Inhibition]
) -> list[float]:
    """When the pager rings, in seconds. ``timeline`` holds at each evaluation the critical alerts that fire."""
    rules = tuple(inhibitions)
    groups: dict[tuple[str, ...], _Group] = {}
    rung: list[float] = []
    for now, firing in timeline:
        by_group: dict[tuple[str, ...], list[Labels]] = {}
        for alert in firing:
            by_group.setdefault(tuple(alert.get(label, "") for label in grouping.by), []).append(alert)
        for key in by_group:
            groups.setdefault(key, _Group(now + grouping.wait_seconds))
        for key in list(groups):
            group = groups[key]
            while key in groups and group.flush_at <= now:
                alerts = [one for one in by_group.get(key, []) if not _muted(one, firing, rules)]
                if alerts and not group.paged:
                    group.paged = True
                    rung.append(group.flush_at)
                if key not in by_group:
                    del groups[key]
                group.flush_at += grouping.interval_seconds
    return rung


def _muted(alert: Labels, firing: Sequence[Labels], rules: Sequence[Inhibition]) -> bool:
    return any(
        _matches(alert, rule.targets)
        and any(
            _matches(source, rule.sources)
            and not (_matches(source, rule.targets) and _matches(alert, rule.sources))
            and all(source.get(label, "") == alert.get(label, "") for label in rule.equal)
            for source in firing
            if source is not alert
        )
        for rule in rules
    )


def _matches(alert: Labels, matchers: Iterable[str]) -> bool:
    for one in matchers:
        found = _MATCHER.match(one)
        assert found, one
        label, how, wanted = found.groups()
        value = alert.get(label, "")
        same = re.fullmatch(wanted, value) is not None if "~" in how else value == wanted
        if same == how.startswith("!"):
            return False
    return True
