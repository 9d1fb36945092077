"""Panels of what watches: whether every target is scraped, every rule evaluated, every alert delivered."""

from __future__ import annotations

from collections.abc import Iterator

from ops.dashboarding.model import BLUE, GREEN, ORANGE, RED, Bound, Panel, Query, Shape, Unit
from ops.dashboarding.querying import rate, select, share, total


def panels() -> Iterator[Panel]:
    yield Panel(
        "targets",
        "Targets up",
        "Share of each job's targets that Prometheus can scrape. What is not scraped cannot alert.",
        Unit.RATIO,
        (Query(f"avg by (job) ({select('up')})", "{{job}}"),),
        base=RED,
        bounds=(Bound(1, GREEN),),
        least=0,
        most=1,
        width=8,
    )
    yield Panel(
        "scrape_time",
        "How long a scrape takes",
        "The slowest target of each job.",
        Unit.SECONDS,
        (Query(f"max by (job) ({select('scrape_duration_seconds')})", "{{job}}"),),
        least=0,
        width=8,
    )
    yield Panel(
        "series",
        "Series in memory",
        "What Prometheus holds at a time.",
        Unit.NUMBER,
        (Query(select("prometheus_tsdb_head_series"), "{{instance}}"),),
        least=0,
        width=8,
    )
    yield from _rules()
    yield from _notifications()


def _group(series: str) -> str:
    """Prometheus calls a group by its file's path, too; its name alone is read in a legend."""
    return f'label_replace({series}, "rule_group", "$1", "rule_group", ".*;(.*)")'


def _rules() -> Iterator[Panel]:
    yield Panel(
        "rule_failures",
        "Rules that failed",
        "Evaluations per second that came to no result. An alert whose rule fails is silent.",
        Unit.PER_SECOND,
        (Query(_group(rate("prometheus_rule_evaluation_failures_total", by="rule_group")), "{{rule_group}}"),),
        ranked=True,
        least=0,
        width=12,
    )
    late = share(
        total(select("prometheus_rule_group_last_duration_seconds"), "rule_group"),
        total(select("prometheus_rule_group_interval_seconds"), "rule_group"),
    )
    yield Panel(
        "rule_time",
        "How long rules take",
        "Share of a group's interval that its evaluation takes. At 1 evaluations are left out.",
        Unit.RATIO,
        (Query(_group(late), "{{rule_group}}"),),
        bounds=(Bound(1, RED),),
        near=False,
        ranked=True,
        least=0,
        width=12,
    )
    yield Panel(
        "configuration",
        "Configuration loaded",
        "Whether the last reload was taken. If not, what runs is older than what was written.",
        Unit.NUMBER,
        (
            Query(select("prometheus_config_last_reload_successful"), "{{job}} {{instance}}"),
            Query(select("alertmanager_config_last_reload_successful"), "{{job}} {{instance}}"),
        ),
        shape=Shape.STATES,
        words={"0": ("refused", RED), "1": ("loaded", GREEN)},
        width=10,
    )


def _notifications() -> Iterator[Panel]:
    yield Panel(
        "alertmanagers",
        "Alertmanagers found",
        "Where Prometheus sends alerts. With none nobody is called.",
        Unit.NUMBER,
        (Query(select("prometheus_notifications_alertmanagers_discovered"), "{{instance}}"),),
        shape=Shape.FIGURE,
        base=RED,
        bounds=(Bound(1, GREEN),),
        width=4,
    )
    yield Panel(
        "alerts_delivered",
        "Alerts delivered",
        "Per second: alerts that Prometheus could not send, notifications to receivers, and those of them that failed. "
        "Alertmanager counts kinds of receivers that nobody has set up, too: here they are summed.",
        Unit.PER_SECOND,
        (
            Query(rate("prometheus_notifications_errors_total"), "not sent by Prometheus"),
            Query(rate("alertmanager_notifications_total"), "notifications"),
            Query(rate("alertmanager_notifications_failed_total"), "notifications that failed"),
        ),
        colours={"not sent by Prometheus": RED, "notifications": BLUE, "notifications that failed": ORANGE},
        least=0,
        width=5,
    )
    yield Panel(
        "silences",
        "Silences and alerts",
        "What the Alertmanager holds, by state.",
        Unit.NUMBER,
        (
            Query(total(select("alertmanager_silences"), "state"), "silences {{state}}"),
            Query(total(select("alertmanager_alerts"), "state"), "alerts {{state}}"),
        ),
        least=0,
        width=5,
    )
