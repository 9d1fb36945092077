"""``ops alerts status``: what fires now, who is told of it, and where it leads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ops.adapters.alert_standing import standing
from ops.adapters.alertmanager_api import AlertmanagerApi
from ops.adapters.firing_alerts import firing
from ops.adapters.monitoring_http import MonitoringError
from ops.alerting.standing import Standing, verdict
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
    except MonitoringError as e:
        raise CommandError(f"{e}: what fires is not known", EXIT_CODES[Outcome.INVALID]) from e
    answer = verdict(found)
    if json:
        emit_json("gratefulgpt.alerts-status/1", {"verdict": answer.to_json(), "alerts": found})
    else:
        _show(found, answer)
    exit_with(answer)


async def _standing(prometheus: str, alertmanager: str) -> list[Standing]:
    return standing(await firing(prometheus), await AlertmanagerApi(alertmanager).alerts())


def _show(found: Iterable[Standing], answer: Verdict) -> None:
    rows = [
        (one.name, one.severity, one.labels.get("tier"), one.since[:19], one.told, one.summary) for one in found
    ]
    if rows:
        emit_table("Alerts that fire", ("alert", "severity", "tier", "since (UTC)", "told", "summary"), rows)
    for one in found:
        print(f"{one.name}: {one.runbook_url}\n  {one.dashboard_url}")
    print("\n".join((f"{answer.outcome}:", *(f"  {one.text}" for one in answer.evidence))))
