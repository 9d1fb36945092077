"""Alertmanager's configuration: who is told of what, how alerts are grouped, and which keep others silent.

Written for Alertmanager 0.25; only a webhook's ``url_file`` wants 0.26.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from ops.alerting.inhibiting import WATCHDOG, Inhibition, inhibitions, named
from ops.alerting.integrations import integrations
from ops.alerting.rendering import HEADER, dump
from ops.alerting.windows import duration
from ops.spec.alerting import Alerting
from ops.spec.receiving import AlertRoute, Grouping

HEARTBEAT = "heartbeat"
"""Alertmanager's receiver of the Watchdog."""
RESOLVE = "5m"
"""An alert that Prometheus no longer sends is over after this; Prometheus itself says when one ends."""


def configuration(alerting: Alerting, secrets_folder: str | None = None, kept: Iterable[str] | None = None) -> str:
    """alertmanager.yml.

    ``secrets_folder`` stands for the spec's where secrets lie elsewhere; of the spec's receivers only those in ``kept``
    are used, all where it is None.
    """
    known = integrations(alerting.receivers, secrets_folder or alerting.secrets_folder)
    if kept is not None:
        known = {name: known[name] for name in kept}
    # Critical last resort: what no route expects is told to those who are told of the worst.
    fallback = next(route for route in alerting.routes if route.severity == "critical" and not route.categories)
    content = {
        "global": {"resolve_timeout": RESOLVE},
        "route": {
            "receiver": receiver_name(fallback),
            **_grouping(fallback.grouping),
            "routes": [_heartbeat(alerting), *map(_route, _in_order(alerting.routes))],
        },
        "inhibit_rules": [_inhibition(one) for one in inhibitions()],
        "receivers": [
            _receiver(HEARTBEAT, alerting.heartbeat.receivers, known),
            *(_receiver(receiver_name(route), route.receivers, known) for route in _in_order(alerting.routes)),
        ],
    }
    return HEADER + dump(content)


def receiver_name(route: AlertRoute) -> str:
    """Of Alertmanager's receiver for a route: ``critical``, ``critical-security-incident``."""
    return "-".join((route.severity, *route.categories))


def receiver_of(alerting: Alerting, severity: str, category: str) -> str:
    """Alertmanager's receiver of an alert."""
    of_severity = [route for route in _in_order(alerting.routes) if route.severity == severity]
    return receiver_name(next(one for one in of_severity if not one.categories or category in one.categories))


def _in_order(routes: Iterable[AlertRoute]) -> list[AlertRoute]:
    return sorted(routes, key=lambda route: not route.categories)


def _heartbeat(alerting: Alerting) -> dict[str, object]:
    """Told again and again: that it falls silent is the alarm."""
    often = duration(alerting.heartbeat.repeat_seconds)
    return {
        "receiver": HEARTBEAT,
        "matchers": [named(WATCHDOG)],
        "group_by": ["alertname"],
        "group_wait": "0s",
        "group_interval": often,
        "repeat_interval": often,
    }


def _route(route: AlertRoute) -> dict[str, object]:
    matchers = [f'severity="{route.severity}"']
    if route.categories:
        matchers.append(f'category=~"{"|".join(route.categories)}"')
    return {"receiver": receiver_name(route), "matchers": matchers, **_grouping(route.grouping)}


def _grouping(grouping: Grouping) -> dict[str, object]:
    return {
        "group_by": list(grouping.by),
        "group_wait": duration(grouping.wait_seconds),
        "group_interval": duration(grouping.interval_seconds),
        "repeat_interval": duration(grouping.repeat_seconds),
    }


def _inhibition(rule: Inhibition) -> dict[str, object]:
    lists = {key: list(value) for key, value in asdict(rule).items() if value}
    return {f"{key[:-1]}_matchers" if key != "equal" else key: value for key, value in lists.items()}


def _receiver(
    name: str, wanted: Iterable[str], known: Mapping[str, tuple[str, dict[str, object]]]
) -> dict[str, object]:
    """All integrations of a route in one receiver: each is tried by itself, and one that fails stops no other."""
    found: dict[str, object] = {"name": name}
    for one in wanted:
        if one in known:
            kind, settings = known[one]
            found[kind] = [*found.get(kind, []), settings]  # type: ignore[misc]
    return found
