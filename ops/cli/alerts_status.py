"""``ops alerts status``: what fires now, who is told of it, and where it leads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ops.adapters.alertmanager_api import AlertmanagerApi, HeldAlert
from ops.adapters.firing_alerts import AlertsUnknown, FiringAlert, firing
from ops.adapters.monitoring_http import MonitoringError
from ops.alerting.standing import NOT_TOLD, Standing, verdict
from ops.cli.alerts_options import Json
from ops.cli.alerts_where import STACK_FOLDER, Alertmanager, Prometheus, RunDir, alertmanager_of, prometheus_of
from ops.cli.output import CommandError, emit_json, emit_table, exit_with
from ops.verdict import EXIT_CODES, Outcome

if TYPE_CHECKING:
    from ops.verdict import Verdict


def status(
    prometheus: Prometheus = None, alertmanager: Alertmanager = None, run_dir: RunDir = STACK_FOLDER, json: Json = False
) -> None:
    """Show which alerts fire now, as Prometheus and Alertmanager have them.

    Exit 0 if none does that somebody is to act on, 1 if one does, 4 if that cannot be known: no answer, or no Watchdog.
    """
    asked = prometheus_of(prometheus, run_dir)
    told_by = alertmanager_of(alertmanager, asked, run_dir)
    try:
        found = asyncio.run(_standing(asked, told_by))
    except (AlertsUnknown, MonitoringError) as e:
        raise CommandError(f"{e}: what fires is not known", EXIT_CODES[Outcome.INVALID]) from e
    answer = verdict(found)
    if json:
        emit_json("gratefulgpt.alerts-status/1", {"verdict": answer.to_json(), "alerts": found})
    else:
        _show(found, answer)
    exit_with(answer)


async def _standing(prometheus: str, alertmanager: str) -> list[Standing]:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        fires = await firing(session, prometheus)
    held = {_key(one.labels): one for one in await AlertmanagerApi(alertmanager).alerts()}
    return [_one(alert, held.get(_key(alert.labels))) for alert in fires]


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


def _show(found: Iterable[Standing], answer: Verdict) -> None:
    rows = [
        (one.name, one.severity, one.labels.get("tier"), one.since[:19], one.told, one.summary) for one in found
    ]
    if rows:
        emit_table("Alerts that fire", ("alert", "severity", "tier", "since (UTC)", "told", "summary"), rows)
    for one in found:
        print(f"{one.name}: {one.runbook_url}\n  {one.dashboard_url}")
    print("\n".join((f"{answer.outcome}:", *(f"  {one.text}" for one in answer.evidence))))
