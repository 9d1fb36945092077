"""Alerts on what users were promised, in three families: what is seen soon, what lasts, what is left of the budgets.

Recordings stand before the alerts that read them.
"""

from __future__ import annotations

from itertools import chain

from ops.alerting.families.budgets import budget_alerts, budget_recordings, window_seconds
from ops.alerting.families.burns import burn, error_rates
from ops.alerting.families.outages import service_outage, tier_outage
from ops.alerting.families.slowness import missed_targets
from ops.alerting.model import Alert, Group
from ops.alerting.windows import INCREMENT_SECONDS, Needs, direct, increments, merged, recordings
from ops.spec.alerting import Windows
from ops.spec.model import Spec
from serving.contract import Objective

AVAILABILITY = Objective.AVAILABILITY
LATE = (Objective.LATENCY, Objective.FIRST_TOKEN, Objective.TOKEN_INTERVAL)


def soon(spec: Spec) -> tuple[Group, ...]:
    """Outages, and rows whose windows end within the hour."""
    alerts = (service_outage(spec), tier_outage(spec), *error_rates(spec), *_of_rows(spec, short=True))
    return (Group("objectives", spec.alerting.evaluation_seconds, recordings(_needs(spec, short=True)), alerts),)


def lasting(spec: Spec) -> tuple[Group, ...]:
    """Rows with windows of hours and days. A window that is recorded for the others is not recorded again."""
    soon_needs = _needs(spec, short=True)
    needs = {
        window: more
        for window, wanted in _needs(spec, short=False).items()
        if (more := wanted - soon_needs.get(window, frozenset()))
    }
    recorded = (*increments(), *recordings(needs))
    return (Group("objectives-lasting", INCREMENT_SECONDS, recorded, _of_rows(spec, short=False)),)


def budgets(spec: Spec) -> tuple[Group, ...]:
    """Over the objectives' own window, of weeks."""
    needs = {window_seconds(spec): frozenset({AVAILABILITY, *LATE})}
    recorded = (*recordings(needs), *budget_recordings(spec))
    return (Group("error-budgets", INCREMENT_SECONDS, recorded, budget_alerts(spec)),)


def _of_rows(spec: Spec, *, short: bool) -> tuple[Alert, ...]:
    rules = spec.alerting.objectives
    burns = (burn(spec, row) for row in rules.burn if direct(row.long_seconds) == short)
    late = (missed_targets(spec, row, goodput=False) for row in rules.share if direct(row.long_seconds) == short)
    any_missed = (missed_targets(spec, row, goodput=True) for row in rules.goodput if direct(row.long_seconds) == short)
    return (*burns, *chain.from_iterable(late), *chain.from_iterable(any_missed))


def _needs(spec: Spec, *, short: bool) -> Needs:
    """What the rows with short or with long windows ask for."""
    rules = spec.alerting.objectives
    rows: list[tuple[Windows, frozenset[str]]] = [(rules.errors, frozenset({AVAILABILITY}))]
    rows += [(row, frozenset({AVAILABILITY})) for row in rules.burn]
    rows += [(row, frozenset(LATE)) for row in rules.share]
    rows += [(row, frozenset({Objective.GOODPUT})) for row in rules.goodput]
    outage: Needs = {rules.outage.window_seconds: frozenset({Objective.LATENCY})}
    chosen = [(row, wanted) for row, wanted in rows if direct(row.long_seconds) == short]
    windows = [{row.long_seconds: wanted, row.short_seconds: wanted} for row, wanted in chosen]
    return merged((*windows, *((outage,) if short else ())))
