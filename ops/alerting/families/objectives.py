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
from ops.alerting.windows import INCREMENT_SECONDS, direct, increments, recordings
from ops.spec.alerting import Windows
from ops.spec.model import Spec


def soon(spec: Spec) -> tuple[Group, ...]:
    """Outages, and rows whose windows end within the hour."""
    alerts = (service_outage(spec), tier_outage(spec), *error_rates(spec), *_of_rows(spec, short=True))
    return (Group("objectives", spec.alerting.evaluation_seconds, recordings(_soon_windows(spec)), alerts),)


def lasting(spec: Spec) -> tuple[Group, ...]:
    """Rows with windows of hours and days."""
    windows = {window for row in _rows(spec) if not direct(row.long_seconds) for window in _windows(row)}
    recorded = (*increments(), *recordings(windows - _soon_windows(spec)))
    return (Group("objectives-lasting", INCREMENT_SECONDS, recorded, _of_rows(spec, short=False)),)


def budgets(spec: Spec) -> tuple[Group, ...]:
    """Over the objectives' own window, of weeks."""
    recorded = (*recordings((window_seconds(spec),)), *budget_recordings(spec))
    return (Group("error-budgets", INCREMENT_SECONDS, recorded, budget_alerts(spec)),)


def _of_rows(spec: Spec, *, short: bool) -> tuple[Alert, ...]:
    rules = spec.alerting.objectives
    burns = (burn(spec, row) for row in rules.burn if direct(row.long_seconds) == short)
    late = (missed_targets(spec, row, goodput=False) for row in rules.share if direct(row.long_seconds) == short)
    any_missed = (missed_targets(spec, row, goodput=True) for row in rules.goodput if direct(row.long_seconds) == short)
    return (*burns, *chain.from_iterable(late), *chain.from_iterable(any_missed))


def _rows(spec: Spec) -> tuple[Windows, ...]:
    rules = spec.alerting.objectives
    return (rules.errors, *rules.burn, *rules.share, *rules.goodput)


def _windows(row: Windows) -> set[float]:
    return {row.long_seconds, row.short_seconds}


def _soon_windows(spec: Spec) -> set[float]:
    rows = (row for row in _rows(spec) if direct(row.long_seconds))
    return {spec.alerting.objectives.outage.window_seconds, *(window for row in rows for window in _windows(row))}
