"""How alerting stands: what fires, who is told of it, and whether that can be believed at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ops.alerting.inhibiting import WATCHDOG
from ops.alerting.model import Severity
from ops.verdict import Evidence, Outcome, Verdict

ACTED_ON = (Severity.CRITICAL.value, Severity.WARNING.value)


@dataclass(frozen=True)
class Standing:
    """An alert that fires."""

    labels: Mapping[str, str]
    since: str
    """RFC 3339, UTC."""
    told: str
    """``told RECEIVERS``, ``silenced``, ``inhibited``, or ``not told``: Alertmanager does not hold it."""
    summary: str
    runbook_url: str
    dashboard_url: str

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "")


NOT_TOLD = "not told"


def verdict(firing: Iterable[Standing]) -> Verdict:
    """Pass if nothing fires that somebody is to act on. Without the Watchdog's own alert the answer is invalid: an
    alerting that says nothing of itself may say nothing of anything."""
    alerts = list(firing)
    watchdog = [one for one in alerts if one.name == WATCHDOG]
    if not watchdog:
        text = f"the {WATCHDOG} does not fire, which always should: rules are not loaded or not evaluated"
        return Verdict(Outcome.INVALID, (Evidence(text),))
    if all(one.told == NOT_TOLD for one in watchdog):
        text = f"the {WATCHDOG} fires and Alertmanager does not know of it: nobody is told of anything"
        return Verdict(Outcome.INVALID, (Evidence(text),))
    wrong = [one for one in alerts if one.severity in ACTED_ON and one.name != WATCHDOG]
    evidence = tuple(Evidence(f"{one.name} ({one.severity}) fires since {one.since}: {one.summary}") for one in wrong)
    if wrong:
        return Verdict(Outcome.FAIL, evidence)
    return Verdict(Outcome.PASS, (Evidence("nothing fires that somebody has to act on", {"firing": len(alerts)}),))
