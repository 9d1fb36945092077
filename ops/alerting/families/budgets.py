"""What is left of the error budgets over the objectives' window of weeks, and alerts before it is gone."""

from __future__ import annotations

from collections.abc import Mapping

from ops.alerting.examples import of_budget
from ops.alerting.families.burns import budget_percent
from ops.alerting.families.objective_cases import INSTANCES, selector, values
from ops.alerting.families.objective_steps import FAILURES, ROLLOUT, WAITING
from ops.alerting.model import Alert, Case, Panel, Recording, Runbook, Series, Severity, Step
from ops.alerting.windows import INCREMENT_SECONDS, OBJECTIVES, recorded, share
from ops.spec.model import Spec

P95_BUDGET_PERCENT = 5
"""What a target for the 95th percentile (the spec's keys ``*_p95_ms``) leaves."""
P95 = ("latency", "first_token", "token_interval")
"""Their objectives."""
OF_TIERS = "tier_objective:error_budget_remaining:ratio"
"""Availability, by tier. 1 is an untouched budget, 0 a spent one, below 0 an objective missed."""
OF_CLASSES = "tier_class_objective:error_budget_remaining:ratio"
"""The p95 targets, by tier and class."""
DAY_SECONDS = 86_400


def window_seconds(spec: Spec) -> float:
    return spec.targets.window_days * DAY_SECONDS


def budget_recordings(spec: Spec) -> tuple[Recording, ...]:
    """To stand after the sums of the window."""
    window = window_seconds(spec)
    late = f'objective=~"{"|".join(P95)}"'
    missed = f"{recorded('misses', window)}{{{late}}} / {recorded('requests', window)}{{{late}}}"
    by = "tier, objective"
    failed = share("availability", window, by)

    def source(what: str) -> str:
        return recorded(what, window)

    return (
        Recording(
            OF_TIERS,
            f"1 - ({failed}) / {budget_percent(spec) / 100:.10g}",
            (of_budget(source, budget_percent(spec) / 100, OBJECTIVES, frozenset({"availability"}), by_class=False),),
        ),
        Recording(
            OF_CLASSES,
            f"1 - ({missed}) / {P95_BUDGET_PERCENT / 100:.10g}",
            (of_budget(source, P95_BUDGET_PERCENT / 100, OBJECTIVES, frozenset(P95), by_class=True),),
        ),
    )


def budget_alerts(spec: Spec) -> tuple[Alert, ...]:
    window, floor = window_seconds(spec), spec.alerting.objectives.budget.bad_events_min
    of_tiers = f"sum by (tier, objective) ({recorded('misses', window)}) >= {floor}"
    of_classes = f"{recorded('misses', window)} >= {floor}"
    return (
        _nearly_spent(
            spec,
            "ErrorBudgetNearlySpent",
            OF_TIERS,
            of_tiers,
            summary="{{ $labels.tier }} has nearly used up its error budget",
            cases=_cases(
                spec, "availability", budget_percent(spec), {"tier": "production", "objective": "availability"}
            ),
        ),
        _nearly_spent(
            spec,
            "TargetBudgetNearlySpent",
            OF_CLASSES,
            of_classes,
            summary="{{ $labels.tier }}, {{ $labels.task_class }}: {{ $labels.objective }} is nearly missed",
            cases=_cases(
                spec,
                "latency",
                P95_BUDGET_PERCENT,
                {"tier": "production", "task_class": "query", "objective": "latency"},
            ),
        ),
    )


def _nearly_spent(
    spec: Spec, name: str, remaining: str, enough: str, *, summary: str, cases: tuple[Case, ...]
) -> Alert:
    least = spec.alerting.objectives.budget.remaining_percent_min
    days = spec.targets.window_days
    return Alert(
        name=name,
        severity=Severity.WARNING,
        category="performance-degradation",
        expression=f"{remaining} < {least / 100:.10g} and {enough}",
        summary=summary,
        description=f"Less than {least:g} % is left of what may go wrong in {days} days.",
        panel=Panel("overview", "error_budget"),
        runbook=Runbook(
            meaning=f"Of what may go wrong in {days} days less than {least:g} % is left. Nothing need be wrong now.",
            impact="With a little more the promise of these days is broken.",
            diagnosis=(
                Step(
                    "What is left of each budget? 1 is all, below 0 the promise is broken.",
                    (
                        f"promtool query instant $PROMETHEUS \"{OF_TIERS}{{tier='$TIER'}}\"",
                        f"promtool query instant $PROMETHEUS \"{OF_CLASSES}{{tier='$TIER'}}\"",
                    ),
                ),
                Step("What went wrong, and when?", ("ops canary history --tier $TIER",)),
                FAILURES,
                WAITING,
                ROLLOUT,
            ),
            mitigation=(
                Step(
                    "Take no risks until the budget has recovered: no new rollouts.",
                    ("ops freeze on --reason 'error budget' --tier $TIER",),
                    ("ops freeze off --tier $TIER",),
                ),
            ),
            verification=(
                Step("The budget recovers.", (f"promtool query instant $PROMETHEUS \"{remaining}{{tier='$TIER'}}\"",)),
            ),
        ),
        cases=cases,
    )


REQUESTS = 1_000_000
"""Between two samples: so many that shares near a bound of a thousandth are whole numbers of them."""
SPARSE_SECONDS = 21_600
"""Between evaluations of a test over weeks; shares come out as with all increments."""


def _cases(spec: Spec, objective: str, budget: float, labels: Mapping[str, str]) -> tuple[Case, ...]:
    rules = spec.alerting.objectives.budget
    spent = 100 - rules.remaining_percent_min
    day = DAY_SECONDS // INCREMENT_SECONDS
    window = spec.targets.window_days

    def steady(percent: float) -> tuple[tuple[int, int, int], ...]:
        return ((2 * day, REQUESTS, round(REQUESTS * percent / 100)),)

    def case(
        name: str,
        phases: Phases,
        fires: tuple[float, ...] = (),
        silent: tuple[float, ...] = (),
        every: int = SPARSE_SECONDS,
    ) -> Case:
        return Case(name, _inputs(objective, phases), fires, silent, (labels,), INCREMENT_SECONDS, every)

    burst = window * budget * (spent + 100) / 200 / 100 / BURST_DAYS
    floor, near = rules.bad_events_min, rules.remaining_percent_min / 20
    return (
        case(
            f"nearly all of the budget goes in {BURST_DAYS} days, and comes back as they leave the window",
            (
                (BURST_DAYS * day, REQUESTS, round(REQUESTS * burst)),
                (window * day, REQUESTS, 0),
            ),
            fires=(window * 1440,),
            silent=((window + 0.75) * 1440,),
        ),
        case(f"{spent + near:g} % are used", steady(budget * (spent + near) / 100), fires=(2880,)),
        case(f"{spent - near:g} % are used", steady(budget * (spent - near) / 100), silent=(1440, 2880)),
        case(
            f"all of few requests miss, the {floor}th last, and then none of many",
            ((floor, 1, 1), (10, 1_000_000, 0)),
            fires=(floor * INCREMENT_SECONDS / 60,),
            silent=((floor - 1) * INCREMENT_SECONDS / 60, (floor + 2) * INCREMENT_SECONDS / 60),
            every=INCREMENT_SECONDS,
        ),
    )


BURST_DAYS = 5
Phases = tuple[tuple[int, int, int], ...]
"""Samples, requests and misses from one to the next."""


def _inputs(objective: str, phases: Phases) -> tuple[Series, ...]:
    of = {"tier": "production", "task_class": "query", "job": "gateway", "instance": INSTANCES[0]}
    return tuple(
        Series(
            selector(f"gateway_objective_{what}_total", {**of, "objective": objective}),
            values([(phase[0], phase[place]) for phase in phases]),
        )
        for place, what in ((1, "requests"), (2, "misses"))
    )
