"""Panels of the controller: does one lead, does it tick, does it reach its database?"""

from __future__ import annotations

from collections.abc import Iterator

from ops.dashboarding.boards.bounds import bounds
from ops.dashboarding.model import GREEN, RED, YELLOW, Bound, Panel, Query, Shape, Unit
from ops.dashboarding.querying import buckets, quantile, rate, select
from ops.spec.model import Spec

TICK = "controller_tick_seconds"


def panels(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "controller_leader",
        "Controllers that lead",
        "One must. With none rollouts stand still and leases end; of two, the one of the lower term is refused.",
        Unit.NUMBER,
        (Query(f"sum({select('controller_leader')})", "leaders"),),
        shape=Shape.FIGURE,
        base=RED,
        bounds=(Bound(1, GREEN), Bound(2, RED)),
        width=4,
    )
    yield Panel(
        "controller_database",
        "Database reached",
        "Whether the controller could save at its last tick.",
        Unit.NUMBER,
        (Query(f"min by (instance) ({select('controller_database_up')})", "{{instance}}"),),
        shape=Shape.STATES,
        words={"0": ("no", RED), "1": ("yes", GREEN)},
        width=8,
    )
    yield Panel(
        "controller_term",
        "Term",
        "It rises with each change of the leader.",
        Unit.NUMBER,
        (Query(f"max by (instance) ({select('controller_term')})", "{{instance}}"),),
        width=6,
    )
    yield from _ticks(spec)
    yield Panel(
        "controller_notifications",
        "Notifications to deliver",
        "Transitions of rollouts that a webhook has not taken yet.",
        Unit.NUMBER,
        (Query(f"max({select('controller_notifications_pending')})", "pending"),),
        bounds=bounds(spec.alerting.thresholds.notifications_pending),
        least=0,
        width=6,
    )


def _ticks(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "controller_tick_age",
        "Since the last tick",
        f"The workers' leases last {spec.rollout.lease_seconds:g} s; without a tick nobody renews them.",
        Unit.SECONDS,
        (
            Query(
                f"time() - max by (instance) ({select('controller_last_tick_timestamp_seconds')} > 0)",
                "{{instance}}",
            ),
        ),
        bounds=bounds(spec.alerting.thresholds.tick_age_seconds),
        least=0,
        width=6,
    )
    yield Panel(
        "controller_ticks",
        "Ticks",
        "Ticks per second, and those that failed, by kind of failure.",
        Unit.PER_SECOND,
        (
            Query(rate("controller_ticks_total", by="instance"), "{{instance}}"),
            Query(rate("controller_tick_failures_total", by="kind"), "failed: {{kind}}"),
        ),
        least=0,
        width=6,
    )
    yield Panel(
        "controller_tick_time",
        "How long a tick takes",
        "p50 and p95. A tick that takes longer than a third of the lease puts it at risk.",
        Unit.SECONDS,
        tuple(Query(quantile(part, TICK), f"p{part * 100:.0f}") for part in (0.5, 0.95)),
        bounds=(Bound(spec.rollout.lease_seconds / 3, YELLOW),),
        least=0,
        width=6,
    )
    yield Panel(
        "controller_tick_heatmap",
        "Ticks by how long they take",
        "How many ticks took how long.",
        Unit.SECONDS,
        (Query(buckets(TICK), "{{le}}"),),
        shape=Shape.HEATMAP,
        width=6,
    )
