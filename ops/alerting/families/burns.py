"""Failed requests: their rate, and how fast they use up availability's error budget."""

from __future__ import annotations

from ops.alerting.families.objective_cases import cases, of_windows
from ops.alerting.families.objective_steps import ANSWERED, ENGINES, FAILURES, MITIGATION, ROLLOUT, ROUTES
from ops.alerting.model import Alert, Panel, Runbook, Severity, Step
from ops.alerting.windows import duration, ending, exceeding, lasts
from ops.spec.alerting import Burn, Windows
from ops.spec.model import Spec

OBJECTIVE = "availability"
CATEGORIES = {
    Severity.CRITICAL: "high-error-rate",
    Severity.WARNING: "performance-degradation",
}
ERROR_RATES = {Severity.CRITICAL: "HighErrorRate", Severity.WARNING: "RaisedErrorRate"}


def budget_percent(spec: Spec) -> float:
    return round(100 - spec.targets.availability_percent, 10)


def burn(spec: Spec, row: Burn) -> Alert:
    percent = row.factor * budget_percent(spec)
    days = spec.targets.window_days / row.factor
    severity = Severity(row.severity)
    return _failing(
        spec,
        f"ErrorBudgetBurn{row.speed.capitalize()}",
        severity,
        row,
        percent,
        summary=f"{{{{ $labels.tier }}}} uses up its error budget {row.factor:g} times as fast as it may",
        meaning=f"Requests of a tier fail {row.factor:g} times as often as {spec.targets.availability_percent:g} %"
        f" availability allows, over {duration(row.long_seconds)} and still over {duration(row.short_seconds)}.",
        impact=f"If it goes on, the budget of {spec.targets.window_days} days is gone in {days:.3g} days.",
        panel=Panel("overview", "burn_rate"),
    )


def error_rates(spec: Spec) -> tuple[Alert, ...]:
    """For each level that the spec sets."""
    levels = spec.alerting.thresholds.error_rate_percent
    given = {Severity.CRITICAL: levels.critical, Severity.WARNING: levels.warning}
    return tuple(
        _failing(
            spec,
            ERROR_RATES[severity],
            severity,
            spec.alerting.objectives.errors,
            percent,
            summary=f"More than {percent:g} % of requests to {{{{ $labels.tier }}}} fail",
            meaning=f"More than {percent:g} % of a tier's requests fail, are cut or are never answered.",
            impact="Users see errors, or repeat themselves, which adds load.",
            panel=Panel("overview", "errors"),
        )
        for severity, percent in given.items()
        if percent is not None
    )


def _failing(
    spec: Spec,
    name: str,
    severity: Severity,
    windows: Windows,
    percent: float,
    *,
    summary: str,
    meaning: str,
    impact: str,
    panel: Panel,
) -> Alert:
    long, short = windows.long_seconds, windows.short_seconds
    lasting = lasts(spec.alerting.objectives, windows)
    return Alert(
        name=name,
        severity=severity,
        category=CATEGORIES[severity],
        expression=exceeding(name, OBJECTIVE, percent, windows, "tier", lasting),
        keep_firing_seconds=lasting.keep_firing_seconds,
        summary=summary,
        description=f"More than {percent:.4g} % failed over {duration(long)} and over {duration(short)},"
        f" {windows.bad_events_min} and {windows.short_bad_events_min} or more.{ending(percent, windows, lasting)}",
        panel=panel,
        runbook=Runbook(
            meaning=meaning,
            impact=impact,
            diagnosis=(
                FAILURES,
                Step(
                    "Which tasks fail, and with which status?",
                    (
                        "promtool query instant $PROMETHEUS \"sum by (task, status)"
                        " (increase(gateway_responses_total{tier='$TIER',status=~'5..'}[5m])) > 0\"",
                    ),
                ),
                ENGINES,
                ROUTES,
                ROLLOUT,
            ),
            mitigation=MITIGATION,
            verification=(
                ANSWERED,
                Step(
                    "No more requests fail.",
                    (
                        "promtool query instant $PROMETHEUS \"sum(increase(gateway_objective_misses_total"
                        "{objective='availability',tier='$TIER'}[2m]))\"",
                    ),
                ),
            ),
        ),
        cases=cases(of_windows(OBJECTIVE, percent, windows, lasting, {"tier": "production"})),
    )
