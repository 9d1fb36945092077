"""Panels of what watches: whether every target is scraped, every rule evaluated, every alert delivered."""

from __future__ import annotations

from collections.abc import Iterator

from ops.dashboarding.model import GREEN, RED, Bound, Panel, Query, Shape, Unit
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
        width=6,
    )
    yield Panel(
        "scrape_time",
        "How long a scrape takes",
        "The slowest target of each job.",
        Unit.SECONDS,
        (Query(f"max by (job) ({select('scrape_duration_seconds')})", "{{job}}"),),
        least=0,
        width=6,
    )
    yield Panel(
        "series",
        "Series in memory",
        "What Prometheus holds at a time.",
        Unit.NUMBER,
        (Query(select("prometheus_tsdb_head_series"), "{{instance}}"),),
        least=0,
        width=6,
    )
    yield from _rules()
    yield from _notifications()


def _rules() -> Iterator[Panel]:
    yield Panel(
        "rule_failures",
        "Rules that failed",
        "Evaluations per second that came to no result. An alert whose rule fails is silent.",
        Unit.PER_SECOND,
        (Query(rate("prometheus_rule_evaluation_failures_total", by="rule_group"), "{{rule_group}}"),),
        least=0,
        width=6,
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
        (Query(late, "{{rule_group}}"),),
        bounds=(Bound(1, RED),),
        least=0,
        width=6,
    )
    yield Panel(
        "configuration",
        "Configuration loaded",
        "Whether the last reload was taken. If not, what runs is older than what was written.",
        Unit.NUMBER,
        (
            Query(select("prometheus_config_last_reload_successful"), "Prometheus {{instance}}"),
            Query(select("alertmanager_config_last_reload_successful"), "Alertmanager {{instance}}"),
        ),
        shape=Shape.STATES,
        words={"0": ("refused", RED), "1": ("loaded", GREEN)},
        width=6,
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
        width=6,
    )
    yield Panel(
        "alerts_delivered",
        "Alerts delivered",
        "Alerts per second from Prometheus that failed, and notifications by receiver, those that failed apart.",
        Unit.PER_SECOND,
        (
            Query(rate("prometheus_notifications_errors_total", by="alertmanager"), "failed to {{alertmanager}}"),
            Query(rate("alertmanager_notifications_total", by="integration"), "{{integration}}"),
            Query(rate("alertmanager_notifications_failed_total", by="integration"), "failed: {{integration}}"),
        ),
        least=0,
        width=6,
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
        width=6,
    )
