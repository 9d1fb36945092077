"""What fires, as Prometheus has it, joined with whom Alertmanager tells of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ops.adapters.alertmanager_api import HeldAlert
from ops.adapters.firing_alerts import FiringAlert
from ops.alerting.standing import NOT_TOLD, Standing


def standing(fires: Iterable[FiringAlert], held: Iterable[HeldAlert]) -> list[Standing]:
    by_labels = {_key(one.labels): one for one in held}
    return [_one(alert, by_labels.get(_key(alert.labels))) for alert in fires]


def _key(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _one(alert: FiringAlert, held: HeldAlert | None) -> Standing:
    notes = alert.annotations
    return Standing(
        labels=alert.labels,
        since=alert.active_since,
        told=_told(held),
        summary=notes.get("summary", ""),
        runbook_url=notes.get("runbook_url", ""),
        dashboard_url=notes.get("dashboard_url", ""),
    )


def _told(held: HeldAlert | None) -> str:
    if held is None:
        return NOT_TOLD
    if held.status.silenced_by:
        return "silenced"
    if held.status.inhibited_by:
        return "inhibited"
    return f"told {', '.join(one.name for one in held.receivers)}"
