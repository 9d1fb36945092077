"""Webhooks still to be called: written with the transition that they report, so none is lost with the controller."""

from __future__ import annotations

from dataclasses import dataclass

from ops.store.database import Database
from ops.store.rollouts import JournalLine, journal_line


@dataclass(frozen=True)
class Delivery:
    webhook: str
    attempts: int
    line: JournalLine


async def due_deliveries(database: Database, now: float, count: int) -> list[Delivery]:
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT d.webhook, d.attempts, j.seq, j.at, j.tier, j.rollout, j.kind, j.reason, j.event, j.from_state, "
            "j.to_state, j.actor, j.payload FROM deliveries d JOIN journal j USING (seq) "
            "WHERE d.done_at IS NULL AND d.due_at <= %s ORDER BY d.seq LIMIT %s",
            (now, count),
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


async def delivery_failed(database: Database, delivery: Delivery, error: str, due_at: float | None, now: float) -> None:
    """To be tried again at ``due_at``, or given up for good if None."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE deliveries SET attempts = attempts + 1, error = %s, due_at = coalesce(%s, due_at), "
            "done_at = CASE WHEN %s::float8 IS NULL THEN %s::float8 END WHERE seq = %s AND webhook = %s",
            (error, due_at, due_at, now, delivery.line.seq, delivery.webhook),
        )
