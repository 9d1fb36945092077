"""Looks at Prometheus and Alertmanager during a trial, and before it: have they our rules, and is all quiet?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ops.adapters.alert_standing import standing
from ops.adapters.alertmanager_api import AlertmanagerApi, HeldAlert
from ops.adapters.firing_alerts import alertmanager_url, firing
from ops.adapters.monitoring_http import MonitoringError
from ops.adapters.prometheus_rules import RuleServer
from ops.alerting.loading import rules_not_loaded
from ops.alerting.model import Severity
from ops.alerting.standing import Standing, verdict
from ops.loadtest.causes import cause
from ops.loadtest.certifying.observed import ByClass, Held, Look
from ops.verdict import Evidence, Outcome

UNPROCESSED = "unprocessed"
"""Alertmanager's word for an alert of which it has not yet seen whether something keeps it silent."""
LACKING_SHOWN_MAX = 3
NOT_QUIET = "not_quiet"


class Watch:
    def __init__(self, prometheus_url: str, alertmanager_url: str) -> None:
        self._prometheus = prometheus_url
        self._alertmanager = AlertmanagerApi(alertmanager_url)
        self._alertmanager_url = alertmanager_url.rstrip("/")
        self.standing: tuple[Standing, ...] = ()
        """As of the last look that saw both."""

    async def look(self, at: float, requests: ByClass) -> Look:
        """Never raises for what the two do: a look that saw nothing says so."""
        try:
            held = await self._alertmanager.alerts()  # first: what it holds Prometheus then has firing for sure
            fires = await firing(self._prometheus)
        except MonitoringError as e:
            return Look(at, requests, blind=str(e))
        self.standing = tuple(standing(fires, held))
        return Look(at, requests, frozenset(one.name for one in fires), tuple(_held(held)))

    async def unfit(self, files: Mapping[str, str]) -> tuple[Evidence, ...]:
        """Why nothing can be proven with these two. ``files``: the rules that should be loaded, by name of file."""
        try:
            lacking = rules_not_loaded(files, await RuleServer(self._prometheus).rules())
            tells = await alertmanager_url(self._prometheus)
        except MonitoringError as e:
            return (cause("monitoring_blind", str(e)),)
        found = []
        if lacking:
            shown = "; ".join(lacking[:LACKING_SHOWN_MAX])
            words = f"Prometheus has not the rules of the stack's spec, {len(lacking)} differ: {shown}"
            found.append(cause("rules", f"{words}; start the stack anew", differ=len(lacking)))
        if tells is None or tells.rstrip("/") != self._alertmanager_url:
            words = f"Prometheus tells {tells or 'no Alertmanager'}, and not {self._alertmanager_url}"
            found.append(cause("alertmanager", words))
        return tuple(found)

    def warnings(self) -> tuple[str, ...]:
        """Names of those that fire."""
        return tuple(sorted({one.name for one in self.standing if one.severity == Severity.WARNING.value}))

    def unquiet(self, pages_only: bool) -> tuple[Evidence, ...]:
        """Why what fires later would prove nothing: something that somebody has to act on fires already, or the
        Watchdog does not. ``pages_only``: warnings may, which earlier breaches have left for hours."""
        warning = Severity.WARNING.value
        answer = verdict(one for one in self.standing if not (pages_only and one.severity == warning))
        if answer.outcome is Outcome.PASS:
            return ()
        what = NOT_QUIET if answer.outcome is Outcome.FAIL else "watchdog"
        return tuple(cause(what, f"before the breach: {one.text}") for one in answer.evidence)


def _held(alerts: Iterable[HeldAlert]) -> Iterable[Held]:
    known = list(alerts)
    names = {one.fingerprint: one.labels.get("alertname", "") for one in known}
    for one in known:
        notes, state = one.annotations, one.status
        silent = "silenced" if state.silenced_by else ""
        if state.inhibited_by:
            silent = "inhibited by " + ", ".join(sorted({names.get(by, "?") for by in state.inhibited_by}))
        elif state.state == UNPROCESSED:
            silent = "not processed yet"
        yield Held(
            one.labels.get("alertname", ""), one.labels.get("severity", ""), notes.get("runbook_url", ""), silent
        )
