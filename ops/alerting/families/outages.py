"""Outages: of the whole service, and of one tier."""

from __future__ import annotations

from dataclasses import replace

from ops.alerting.families.objective_cases import INSTANCES, Bound, cases, selector
from ops.alerting.families.objective_steps import (
    ANSWERED,
    ENGINES,
    FAILURES,
    MITIGATION,
    ROLLOUT,
    ROUTES,
)
from ops.alerting.model import Alert, Case, Panel, Runbook, Series, Severity, Step
from ops.alerting.windows import Lasting, duration, misses, over, share
from ops.spec.model import Spec

OBJECTIVE = "latency"
"""Its misses are all that failed, too, and those of an engine that hangs are counted before it has timed out."""


def service_outage(spec: Spec) -> Alert:
    """Enough misses, and no tier of which most requests are answered; a gateway that is gone counts nothing, so its
    absence counts."""
    outage = spec.alerting.objectives.outage
    down = duration(outage.gateways_down_seconds)
    enough = f"{misses(OBJECTIVE, outage.window_seconds, '')} >= {outage.bad_events_min}"
    return Alert(
        name="ServiceOutage",
        severity=Severity.CRITICAL,
        category="service-downtime",
        expression=f"{enough} unless on () {_answered(spec)}"
        f' or sum(max_over_time(up{{job="gateway"}}[{down}])) == 0',
        keep_firing_seconds=spec.alerting.objectives.keep_firing_seconds,
        summary="The service answers hardly any request in time",
        description=f"{_described(spec)} in every tier, or no gateway worker could be scraped for {down}.",
        panel=Panel("overview", "availability"),
        runbook=Runbook(
            meaning="Most requests fail, or come after their class's p95 target, and no tier is better off; or the"
            " gateway itself is gone, and nothing counts requests any more.",
            impact="Users of every tier get no answer, or give up waiting for it.",
            diagnosis=(
                Step("Does the service answer a user at all?", ("ops probe",)),
                ENGINES,
                Step(
                    "Are the gateway's workers up?",
                    ("promtool query instant $PROMETHEUS 'up{job=\"gateway\"}'", "ops stack logs --lines 50"),
                ),
                Step("Where do requests go, and do all workers agree?", ("ops route show",)),
                Step(
                    "Which tier fails, and how?",
                    (
                        "promtool query instant $PROMETHEUS"
                        " 'topk(5, sum by (tier, event) (increase(gateway_events_total[5m])))'",
                    ),
                ),
            ),
            mitigation=(
                Step(
                    "If a rollout runs, send everything to stable at once.",
                    ("ops route stable --now --reason 'on call' --yes",),
                    ("ops canary resume",),
                ),
                Step(
                    "Start again what does not answer.",
                    ("ops stack restart --unhealthy --now",),
                ),
            ),
            verification=(ANSWERED, Step("Every part is well.", ("ops stack status",))),
        ),
        cases=(*_cases(spec, {}), _one_tier_answers(spec), _gateways_gone(spec), _one_gateway_left(spec)),
    )


def tier_outage(spec: Spec) -> Alert:
    return Alert(
        name="TierOutage",
        severity=Severity.CRITICAL,
        category="service-downtime",
        expression=_most_miss(spec, "tier"),
        keep_firing_seconds=spec.alerting.objectives.keep_firing_seconds,
        summary="{{ $labels.tier }} answers hardly any request in time",
        description=f"{_described(spec)}.",
        panel=Panel("overview", "availability"),
        runbook=Runbook(
            meaning="Most requests of a tier fail, or come after their class's p95 target.",
            impact="Users of the tier get no answer, or give up waiting for it. Other tiers may be well.",
            diagnosis=(ENGINES, ROUTES, FAILURES, ROLLOUT),
            mitigation=MITIGATION,
            verification=(ANSWERED,),
        ),
        cases=_cases(spec, {"tier": "production"}),
    )


def _most_miss(spec: Spec, by: str) -> str:
    outage = spec.alerting.objectives.outage
    found = f"{over(OBJECTIVE, outage.bad_percent, outage.window_seconds, by)}"
    return f"{found} and {misses(OBJECTIVE, outage.window_seconds, by)} >= {outage.bad_events_min}"


def _answered(spec: Spec) -> str:
    """Tiers of whose requests enough are answered: while there is one, the service is not out. A tier without requests
    is neither."""
    outage = spec.alerting.objectives.outage
    window = outage.window_seconds
    return f"{share(OBJECTIVE, window, 'tier')} <= {outage.bad_percent / 100:.10g}"


def _described(spec: Spec) -> str:
    outage = spec.alerting.objectives.outage
    return f"More than {outage.bad_percent:g} % of requests failed or were late over {duration(outage.window_seconds)}"


def _cases(spec: Spec, labels: dict[str, str]) -> tuple[Case, ...]:
    rules = spec.alerting.objectives
    outage = rules.outage
    window = outage.window_seconds
    lasting = Lasting(rules.keep_firing_seconds, release_percent=None)
    made = cases(Bound(OBJECTIVE, outage.bad_percent, window, window, outage.bad_events_min, 0, lasting, labels))
    up = tuple(Series(_up(instance), f"1x{2000}") for instance in INSTANCES)
    return tuple(replace(case, inputs=(*case.inputs, *up)) for case in made) if not labels else made


def _one_tier_answers(spec: Spec) -> Case:
    """Of nearly all requests, which are one tier's, each misses; of the few of another as many as may."""
    bad = round(spec.alerting.objectives.outage.bad_percent)
    growth = {"production": (10_000, 10_000), "edge": (100, bad - 1)}
    return Case(
        "one tier answers, and few use it",
        tuple(
            Series(
                selector(
                    f"gateway_objective_{what}_total", {"tier": tier, "task_class": "query", "objective": OBJECTIVE}
                ),
                f"0+{growth[tier][place]}x40",
            )
            for tier in growth
            for place, what in enumerate(("requests", "misses"))
        ),
        silent=(8,),
    )


def _gateways_gone(spec: Spec) -> Case:
    """The one after the other; when the last is gone for long enough, it fires; when one is back, it ends."""
    rules = spec.alerting.objectives
    gone = rules.outage.gateways_down_seconds / 60
    keep = rules.keep_firing_seconds / 60
    first, second = INSTANCES
    return Case(
        "the last gateway goes at minute 4 and is back at minute 10",
        (
            Series(_up(first), "1x7 0x120"),
            Series(_up(second), "1x15 0x23 1x60"),
            Series(selector("up", {"job": "engine", "instance": first}), "1x120"),
        ),
        fires=(4 + gone, 10 + keep - 0.25),
        silent=(3.75 + gone - 0.25, 10 + keep + 0.25),
    )


def _one_gateway_left(spec: Spec) -> Case:
    first, second = INSTANCES
    return Case("one gateway of two is left", (Series(_up(first), "0x60"), Series(_up(second), "1x60")), silent=(10,))


def _up(instance: str) -> str:
    return selector("up", {"job": "gateway", "instance": instance})
