"""Overview: does the service keep its promises, how much of its budgets is left, and who was called?"""

from __future__ import annotations

from collections.abc import Iterator

from ops.alerting.catalogue import Source
from ops.alerting.families.budgets import OF_CLASSES, OF_TIERS, P95_BUDGET_PERCENT
from ops.alerting.families.burns import budget_percent
from ops.dashboarding.boards import now
from ops.dashboarding.boards.bounds import ratios
from ops.dashboarding.boards.choices import TASK_CLASSES, TIERS
from ops.dashboarding.boards.objectives import AVAILABILITY, KNOWN, REQUESTS, alerts, missed
from ops.dashboarding.model import GREEN, RED, YELLOW, Bound, Dashboard, Panel, Query, Row, Shape, Unit
from ops.dashboarding.querying import TASK_CLASS, TIER, buckets, quantile, rate
from ops.spec.model import Spec


def dashboard(spec: Spec) -> Dashboard:
    return Dashboard(
        name="overview",
        title="Overview",
        description="Does the service keep its promises, how much of its budgets is left, and who was called?",
        sources=(Source.GATEWAY, Source.CONTROLLER),
        variables=(TIERS, TASK_CLASSES),
        rows=(
            Row("Now", tuple(now.panels(spec))),
            Row("Promises", tuple(_promises(spec))),
            Row("Latency", tuple(_latency(spec))),
            Row("Traffic", tuple(_traffic(spec))),
        ),
    )


def _promises(spec: Spec) -> Iterator[Panel]:
    target = spec.targets.availability_percent / 100
    yield Panel(
        "availability",
        "Availability",
        f"Share of requests that were answered. Promised: {spec.targets.availability_percent:g} %.",
        Unit.RATIO,
        (Query(f"1 - {missed('availability', 'tier')}", "{{tier}}"),),
        base=RED,
        bounds=(Bound(target, GREEN),),
        most=1,
        width=12,
    )
    yield _burn_rate(spec)
    yield from _budgets(spec)
    for key, title, what in (
        ("goodput", "Requests that missed any target", "Share of requests that failed or missed any of the targets"),
        ("latency", "Answers over target", "Share of answers that were late or never came"),
        ("first_token", "First tokens over target", "Share of streams whose first content was late or never came"),
        ("token_interval", "Token intervals over target", "Share of streams whose tokens came too slowly"),
    ):
        yield _over_target(spec, key, title, what)


def _budgets(spec: Spec) -> Iterator[Panel]:
    days = f"{spec.targets.window_days:g} days"
    least = spec.alerting.objectives.budget.remaining_percent_min / 100
    yield Panel(
        "burn_down",
        "Error budget over time",
        f"What was left of the {days} before each moment. Choose a longer time to see it burn down.",
        Unit.RATIO,
        (Query(f"min by (tier) ({OF_TIERS}{{{TIER}}} {KNOWN})", "{{tier}}"),),
        base=RED,
        bounds=(Bound(0, YELLOW), Bound(least, GREEN)),
        most=1,
        width=12,
    )
    yield Panel(
        "target_budgets",
        "Budgets of the latency targets",
        f"The same for the p95 targets: 1 is none of {P95_BUDGET_PERCENT} % late in {days}, 0 all of them.",
        Unit.RATIO,
        (
            Query(
                f"min by (tier, task_class, objective) ({OF_CLASSES}{{{TIER},{TASK_CLASS}}} {KNOWN})",
                "{{tier}} {{task_class}} {{objective}}",
            ),
        ),
        base=RED,
        bounds=(Bound(0, YELLOW), Bound(least, GREEN)),
        ranked=True,
        most=1,
        width=12,
    )


def _burn_rate(spec: Spec) -> Panel:
    days = f"{spec.targets.window_days:g} days"
    allowed = budget_percent(spec) / 100
    return Panel(
        "burn_rate",
        "Burn rate",
        f"How many times as fast as over {days} the error budget is used up. Lines: where alerts are made.",
        Unit.NUMBER,
        (Query(f"{missed('availability', 'tier')} / {allowed:.10g}", "{{tier}}"),),
        bounds=tuple(
            Bound(one.factor, RED if one.severity == "critical" else YELLOW)
            for one in sorted(spec.alerting.objectives.burn, key=lambda one: one.factor)
        ),
        least=0,
        width=12,
    )


def _over_target(spec: Spec, objective: str, title: str, what: str) -> Panel:
    rules = spec.alerting.objectives
    rows = rules.goodput if objective == "goodput" else rules.share
    return Panel(
        objective,
        title,
        f"{what}, by tier and class. A p95 target allows {P95_BUDGET_PERCENT} %; lines: where alerts are made.",
        Unit.RATIO,
        (Query(missed(objective, "tier, task_class"), "{{tier}} {{task_class}}"),),
        bounds=alerts(rows),
        ranked=True,
        least=0,
        width=12,
    )


def _latency(spec: Spec) -> Iterator[Panel]:
    name = "gateway_request_latency_seconds"
    for task_class, found in spec.task_classes.items():
        target = found.latency_p95_ms / 1000
        yield Panel(
            f"latency_p95_{task_class}",
            f"p95 of {task_class}",
            f"95 % of the whole answers of class {task_class} took at most this. Target: {target:g} s.",
            Unit.SECONDS,
            (Query(quantile(0.95, name, TIER, f'task_class="{task_class}"', by="tier"), "{{tier}}"),),
            bounds=(Bound(target, RED),),
            least=0,
        )
    yield Panel(
        "latency_heatmap",
        "Latency of whole answers",
        "How many answers took how long, over all tiers and classes chosen.",
        Unit.SECONDS,
        (Query(buckets(name, TIER, TASK_CLASS), "{{le}}"),),
        shape=Shape.HEATMAP,
        width=24,
    )


def _traffic(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "requests",
        "Requests",
        f"Requests per second by tier. Planned for: {spec.targets.requests_per_second:g}.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate(REQUESTS, TIER, TASK_CLASS, AVAILABILITY, by="tier"), "{{tier}}"),),
        bounds=(Bound(spec.targets.requests_per_second, RED),),
        near=False,
        stacked=True,
        least=0,
    )
    yield Panel(
        "errors",
        "Error rate",
        f"Share of requests that failed, by tier. Promised: at most {spec.targets.error_rate_percent_max:g} %.",
        Unit.RATIO,
        (Query(missed("availability", "tier"), "{{tier}}"),),
        bounds=ratios(spec.alerting.thresholds.error_rate_percent),
        least=0,
    )
    yield Panel(
        "tokens",
        "Tokens",
        f"Tokens per second, prompts and answers. Planned for: {spec.targets.tokens_per_second:g}.",
        Unit.TOKENS_PER_SECOND,
        (Query(rate("gateway_tokens_total", TIER, by="direction"), "{{direction}}"),),
        bounds=(Bound(spec.targets.tokens_per_second, RED),),
        near=False,
        stacked=True,
        least=0,
    )
    yield Panel(
        "tiers",
        "Tiers and classes",
        "Requests per second and the shares that missed, now; the worst first.",
        Unit.RATIO,
        (
            Query(
                rate(REQUESTS, TIER, TASK_CLASS, AVAILABILITY, by="tier, task_class"),
                "requests per second",
                instant=True,
                unit=Unit.REQUESTS_PER_SECOND,
            ),
            *(
                Query(missed(objective, "tier, task_class"), title, instant=True, bounds=lines)
                for objective, title, lines in (
                    ("availability", "failed", ratios(spec.alerting.thresholds.error_rate_percent)),
                    ("latency", "late", alerts(spec.alerting.objectives.share)),
                    ("goodput", "missed any", alerts(spec.alerting.objectives.goodput)),
                )
            ),
        ),
        shape=Shape.TABLE,
        sort_by="-missed any",
        width=24,
        height=10,
    )
