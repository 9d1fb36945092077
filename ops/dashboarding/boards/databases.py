"""Panels of PostgreSQL, by postgres_exporter."""

from __future__ import annotations

from collections.abc import Iterator

from ops.dashboarding.boards.bounds import ratios
from ops.dashboarding.model import GREEN, RED, Bound, Panel, Query, Shape, Unit
from ops.dashboarding.querying import rate, select, share, total
from ops.spec.model import Spec


def panels(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "postgres_up",
        "PostgreSQL",
        "Whether the exporter could log in.",
        Unit.NUMBER,
        (Query(f"min by (instance) ({select('pg_up')})", "{{instance}}"),),
        shape=Shape.STATES,
        words={"0": ("down", RED), "1": ("up", GREEN)},
        width=6,
    )
    connections = share(
        total(select("pg_stat_activity_count"), "instance"),
        f"max by (instance) ({select('pg_settings_max_connections')})",
    )
    thresholds = spec.alerting.thresholds
    yield _each(
        "postgres_connections", "Connections", "Share of the connections allowed.", connections, Unit.RATIO,
        ratios(thresholds.database_connections_percent),
    )
    commits, rollbacks = (
        rate(f"pg_stat_database_{name}", by="instance") for name in ("xact_commit", "xact_rollback")
    )
    yield _each("postgres_transactions", "Transactions", "Committed per second.", commits, Unit.PER_SECOND)
    rolled_back = f"{rollbacks} / ({commits} + {rollbacks})"
    yield _each(
        "postgres_rollbacks", "Rolled back", "Share of transactions.", rolled_back, Unit.RATIO,
        ratios(thresholds.database_rollback_percent),
    )
    deadlocks = rate("pg_stat_database_deadlocks", by="instance")
    yield _each("postgres_deadlocks", "Deadlocks", "Per second; there should be none.", deadlocks, Unit.PER_SECOND)
    hit, read = (rate(f"pg_stat_database_blks_{name}", by="instance") for name in ("hit", "read"))
    cached = f"{hit} / ({hit} + {read})"
    missed = spec.alerting.thresholds.database_cache_miss_percent.warning
    yield Panel(
        "postgres_cache",
        "Cache hits",
        "Share of blocks that were found in memory.",
        Unit.RATIO,
        (Query(cached, "{{instance}}"),),
        base=GREEN if missed is None else RED,
        bounds=() if missed is None else (Bound(1 - missed / 100, GREEN),),
        most=1,
        width=6,
    )
    size = total(select("pg_database_size_bytes"), "instance, datname")
    yield Panel(
        "postgres_size",
        "Size",
        "Of each database.",
        Unit.BYTES,
        (Query(size, "{{instance}} {{datname}}"),),
        least=0,
        width=6,
    )
    temporary = rate("pg_stat_database_temp_bytes", by="instance")
    yield _each("postgres_temp", "Temporary files", "Written per second.", temporary, Unit.BYTES_PER_SECOND)


def _each(
    key: str, title: str, description: str, expression: str, unit: Unit, lines: tuple[Bound, ...] = ()
) -> Panel:
    return Panel(key, title, description, unit, (Query(expression, "{{instance}}"),), bounds=lines, least=0, width=6)
