"""The first row of the overview: what fires, how bad it is, and what is being rolled out."""

from __future__ import annotations

from collections.abc import Iterator

from ops.alerting.families.budgets import OF_TIERS, P95_BUDGET_PERCENT
from ops.alerting.inhibiting import WATCHDOG
from ops.alerting.links import runbook_url
from ops.dashboarding.boards.bounds import ratios
from ops.dashboarding.boards.objectives import AVAILABILITY, KNOWN, REQUESTS, missed
from ops.dashboarding.boards.stating import rollout_state
from ops.dashboarding.model import BLUE, GREEN, RED, YELLOW, Bound, Panel, Query, Shape, Unit
from ops.dashboarding.querying import TASK_CLASS, TIER, rate
from ops.spec.model import Spec

FIRING = 'alertstate="firing"'
WATCHING = f'{FIRING},alertname="{WATCHDOG}"'
SEVERITIES = {"critical": RED, "warning": YELLOW, "info": BLUE}


def panels(spec: Spec) -> Iterator[Panel]:
    yield from _figures(spec)
    yield _budget_left(spec)
    yield _firing(spec)
    yield _firing_over_time()
    yield rollout_state(width=8)


def _figures(spec: Spec) -> Iterator[Panel]:
    for key, title, severity, what, colour in (
        ("pages", "Pages", "critical", "Somebody is called for them.", RED),
        ("tickets", "Tickets", "warning", "They can wait for working hours.", YELLOW),
    ):
        # Counted beside the Watchdog, which always fires: without it nothing is known, and no number stands here.
        these = f'ALERTS{{{FIRING},severity="{severity}"}}'
        firing = f"count({these} or ALERTS{{{WATCHING}}}) - count(ALERTS{{{WATCHING}}})"
        yield Panel(
            key,
            title,
            f"Alerts that fire now with the severity {severity}. {what}",
            Unit.NUMBER,
            (Query(firing, title),),
            shape=Shape.FIGURE,
            bounds=(Bound(1, colour),),
            width=3,
            height=5,
        )
    yield Panel(
        "requests_now",
        "Requests now",
        "Requests per second, of all tiers and classes chosen.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate(REQUESTS, TIER, TASK_CLASS, AVAILABILITY), "requests"),),
        shape=Shape.FIGURE,
        base=BLUE,
        bounds=(Bound(spec.targets.requests_per_second, YELLOW),),
        width=4,
        height=5,
    )
    promised = Bound(spec.targets.error_rate_percent_max / 100, YELLOW)
    alerted = [one for one in ratios(spec.alerting.thresholds.error_rate_percent) if one.value > promised.value]
    late = sorted({one.bad_percent / 100 for one in spec.alerting.objectives.share if one.severity == "critical"})
    for key, title, what, objective, by, lines in (
        ("errors_now", "Error rate now", "Share of requests that failed", "availability", "tier", (promised, *alerted)),
        ("late_now", "Late answers now", "Share of answers that were late or never came", "latency", "tier, task_class",
         (Bound(P95_BUDGET_PERCENT / 100, YELLOW), *(Bound(value, RED) for value in late))),
    ):  # fmt: skip
        yield Panel(
            key,
            title,
            f"{what}, of the {by.replace('_', ' ').replace(', ', ' and ')} that is worst off.",
            Unit.RATIO,
            (Query(f"max({missed(objective, by)})", "worst"),),
            shape=Shape.FIGURE,
            bounds=lines,
            width=5,
            height=5,
            none="no requests",
        )


def _budget_left(spec: Spec) -> Panel:
    least = spec.alerting.objectives.budget.remaining_percent_min / 100
    return Panel(
        "error_budget",
        "Error budget left",
        f"Of {spec.targets.window_days:g} days. 100 %: no request failed; 0 %: as many as promised at most; below: the "
        "promise is broken.",
        Unit.RATIO,
        (Query(f"min by (tier) ({OF_TIERS}{{{TIER}}} {KNOWN})", "{{tier}}", instant=True),),
        shape=Shape.FIGURE,
        base=RED,
        bounds=(Bound(0, YELLOW), Bound(least, GREEN)),
        width=4,
        height=5,
    )


def _firing(spec: Spec) -> Panel:
    labels = "alertname, severity, tier"
    since = f"max by ({labels}) (ALERTS_FOR_STATE) and max by ({labels}) (ALERTS{{{FIRING}}})"
    return Panel(
        "alerts",
        "Alerts that fire",
        "Each with its severity, what it concerns, and for how long its condition has been true; a click on its name "
        "opens its runbook. The Watchdog always fires: without it the others are not known.",
        Unit.SECONDS,
        (Query(f"time() - ({since})", "for", instant=True),),
        shape=Shape.TABLE,
        cell_links={"alertname": runbook_url("${__value.raw}", spec)},
        cell_colours={"severity": SEVERITIES},
        cell_widths={"severity": 80, "tier": 100, "for": 90},
        sort_by="severity",
        width=8,
    )


def _firing_over_time() -> Panel:
    return Panel(
        "alerts_over_time",
        "Alerts over time",
        "How many fire at a time, by severity.",
        Unit.NUMBER,
        (Query('sum by (severity) (ALERTS{alertstate="firing"})', "{{severity}}"),),
        colours=SEVERITIES,
        stacked=True,
        least=0,
        width=8,
    )
