"""Alerts on what users were promised: outages, availability's budget, the p95 targets."""

from __future__ import annotations

from ops.alerting.model import Alert, Case, Group, Panel, Runbook, Series, Severity, Step
from ops.alerting.windows import misses, over, recordings
from ops.spec.alerting import Objectives
from ops.spec.model import Spec


def groups(spec: Spec) -> tuple[Group, ...]:
    rules = spec.alerting.objectives
    interval = spec.alerting.evaluation_seconds
    windows = {rules.outage.window_seconds, *(w for one in rules.share for w in (one.long_seconds, one.short_seconds))}
    return (
        Group("objectives", interval, recordings(windows)),
        Group("outages", interval, alerts=(_tier_outage(rules),)),
    )


def _tier_outage(rules: Objectives) -> Alert:
    outage = rules.outage
    too_many = over("latency", outage.bad_percent, outage.window_seconds, "tier")
    enough = f"{misses('latency', outage.window_seconds, 'tier')} >= {outage.bad_events_min}"
    every = 'gateway_objective_{}_total{{tier="production",task_class="query",objective="latency"}}'
    return Alert(
        name="TierOutage",
        severity=Severity.CRITICAL,
        category="service-downtime",
        expression=f"{too_many} and {enough}",
        keep_firing_seconds=rules.keep_firing_seconds,
        summary="{{ $labels.tier }} answers hardly any request in time",
        description=f"More than {outage.bad_percent:g} % of requests failed or were late.",
        panel=Panel("overview", "availability"),
        runbook=Runbook(
            meaning="Nearly all requests of a tier fail, or come after their class's p95 target.",
            impact="Users of the tier get no answer.",
            diagnosis=(Step("Which engines are up, and where do requests go?", ("ops stack status",)),),
            mitigation=(
                Step(
                    "Send everything to stable.",
                    ('ops route stable --now --tier $TIER --reason "outage" --yes',),
                    undo=("ops canary resume --tier $TIER",),
                ),
            ),
            verification=(Step("Requests are answered.", ("ops probe",)),),
        ),
        cases=(
            Case(
                "all requests miss",
                (Series(every.format("requests"), "0+3x21"), Series(every.format("misses"), "0+3x21")),
                fires=(3,),
                labels=({"tier": "production"},),
            ),
        ),
    )
