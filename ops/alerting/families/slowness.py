"""Misses of the p95 targets, and of any of the targets.

"p95 within X" lets 5 % of requests be late. A burn rate of 14.4 would be 72 % of them, so these rules ask for a share
of late requests directly.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.alerting.families.objective_cases import cases, of_windows
from ops.alerting.families.objective_steps import ANSWERED, FAILURES, MITIGATION, REPLICAS, ROLLOUT, WAITING
from ops.alerting.model import Alert, Panel, Runbook, Severity, Step
from ops.alerting.windows import duration, ending, exceeding, lasts
from ops.spec.alerting import Share
from ops.spec.model import Spec

BY = "tier, task_class"
CATEGORIES = {Severity.CRITICAL: "missed-target", Severity.WARNING: "performance-degradation"}
SUFFIXES = {Severity.CRITICAL: "", Severity.WARNING: "Lasting"}


@dataclass(frozen=True)
class Target:
    objective: str
    name: str
    """Of the alert."""
    miss: str
    """What happens to more requests than may."""
    impact: str


TARGETS = (
    Target("latency", "SlowAnswers", "answers fail or come after the p95 target", "Users wait, and some give up."),
    Target(
        "first_token",
        "SlowFirstToken",
        "streams begin after the p95 target of their first token, or never",
        "Users who watch an answer being written see nothing for too long.",
    ),
    Target(
        "token_interval",
        "SlowTokens",
        "streams write more slowly than the p95 target between tokens, or break off",
        "Answers are written slower than users read.",
    ),
)
GOODPUT = Target(
    "goodput",
    "LowGoodput",
    "requests miss one target or another",
    "Each target may hold nearly, and still too many users get what was not promised.",
)


def missed_targets(spec: Spec, row: Share, *, goodput: bool) -> tuple[Alert, ...]:
    return tuple(_missed(spec, row, target) for target in ((GOODPUT,) if goodput else TARGETS))


def _missed(spec: Spec, row: Share, target: Target) -> Alert:
    severity = Severity(row.severity)
    name, lasting = target.name + SUFFIXES[severity], lasts(spec.alerting.objectives, row)
    labels = {"tier": "production", "task_class": "query"}
    over_long, over_short = duration(row.long_seconds), duration(row.short_seconds)
    return Alert(
        name=name,
        severity=severity,
        category=CATEGORIES[severity],
        expression=exceeding(name, target.objective, row.bad_percent, row, BY, lasting),
        keep_firing_seconds=lasting.keep_firing_seconds,
        summary=f"{{{{ $labels.tier }}}}, {{{{ $labels.task_class }}}}: {row.bad_percent:g} % of {target.miss}",
        description=f"More than {row.bad_percent:g} % over {over_long} and over {over_short},"
        f" {row.bad_events_min} and {row.short_bad_events_min} or more.{ending(row.bad_percent, row, lasting)}",
        panel=Panel("overview", target.objective),
        runbook=Runbook(
            meaning=f"More than {row.bad_percent:g} % of a task class's {target.miss}. The target itself is missed when"
            " it is more than 5 %.",
            impact=target.impact,
            diagnosis=(
                Step(
                    "Which targets are missed, and by what share?",
                    (
                        "promtool query instant $PROMETHEUS \"sum by (objective, task_class)"
                        " (rate(gateway_objective_misses_total{tier='$TIER'}[5m])) / sum by (objective, task_class)"
                        " (rate(gateway_objective_requests_total{tier='$TIER'}[5m]))\"",
                    ),
                ),
                WAITING,
                REPLICAS,
                FAILURES,
                ROLLOUT,
            ),
            mitigation=MITIGATION,
            verification=(
                ANSWERED,
                Step(
                    "The share of late requests falls.",
                    (
                        "promtool query instant $PROMETHEUS \"sum(rate(gateway_objective_misses_total"
                        f"{{objective='{target.objective}',tier='$TIER',task_class='$TASK_CLASS'}}[2m]))"
                        " / sum(rate(gateway_objective_requests_total"
                        f"{{objective='{target.objective}',tier='$TIER',task_class='$TASK_CLASS'}}[2m]))\"",
                    ),
                ),
            ),
        ),
        cases=cases(of_windows(target.objective, row.bad_percent, row, lasting, labels)),
    )
