"""Webhooks still to be called: written with the transition that they report, so none is lost with the controller.

Beside the instant of the next try stands the clock that it was read from: it comes after the seconds that were meant,
however the wall clock is put meanwhile. By another machine's clock, or after a reboot, nothing says how long it has
been: then it is due at once, for an early try costs nothing, and a webhook put off for hours is as good as lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.rollout.record import Clock
from ops.store.database import Database
from ops.store.rollouts import JournalLine, journal_line


@dataclass(frozen=True)
class Delivery:
    webhook: str
    attempts: int
    line: JournalLine


async def due_deliveries(database: Database, now: float, clock: Clock, count: int) -> list[Delivery]:
    """``now``: Unix seconds, read from ``clock``."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT d.webhook, d.attempts, j.seq, j.at, j.tier, j.rollout, j.kind, j.reason, j.event, j.from_state, "
            "j.to_state, j.actor, j.payload FROM deliveries d JOIN journal j USING (seq) "
            "WHERE d.done_at IS NULL AND (d.boot IS DISTINCT FROM %s OR d.due_at - d.ahead_seconds <= %s) "
            "ORDER BY d.seq LIMIT %s",
            (clock.boot, now - clock.ahead_seconds, count),
        )
        return [Delivery(row[0], row[1], journal_line(row[2:])) for row in await cursor.fetchall()]


async def pending_deliveries(database: Database) -> int:
    """How many are neither done nor given up."""
    async with database.transaction() as connection:
        cursor = await connection.execute("SELECT count(*) FROM deliveries WHERE done_at IS NULL")
        row = await cursor.fetchone()
        return int(row[0]) if row else 0


async def delivery_done(database: Database, delivery: Delivery, now: float) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE deliveries SET done_at = %s, attempts = attempts + 1, error = '' WHERE seq = %s AND webhook = %s",
            (now, delivery.line.seq, delivery.webhook),
        )


async def delivery_failed(
    database: Database, delivery: Delivery, error: str, due_at: float | None, now: float, clock: Clock
) -> None:
    """To be tried again at ``due_at`` of ``clock``, or given up for good if None."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE deliveries SET attempts = attempts + 1, error = %s, due_at = coalesce(%s, due_at), boot = %s, "
            "ahead_seconds = %s, done_at = CASE WHEN %s::float8 IS NULL THEN %s::float8 END "
            "WHERE seq = %s AND webhook = %s",
            (error, due_at, clock.boot, clock.ahead_seconds, due_at, now, delivery.line.seq, delivery.webhook),
        )
