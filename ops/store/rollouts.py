"""Tiers, rollouts, looks and the journal: read together, and written together or not at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from psycopg.errors import UniqueViolation

from ops.judge.model import Look
from ops.rollout.decided import Decided, Entry
from ops.rollout.record import Rollout, TierRecord
from ops.rollout.states import ENDED
from ops.store.database import Connection, Database
from ops.store.errors import Conflict, NotFound
from ops.store.leadership import require_term
from ops.store.looks import write_look
from ops.store.records import from_json, to_json


@dataclass(frozen=True)
class JournalLine:
    seq: int
    at: float
    tier: str
    rollout: str | None
    entry: Entry


@dataclass(frozen=True)
class LookLine:
    rollout: str
    number: int
    at: float
    step: int
    look: Look


@dataclass(frozen=True)
class Loaded:
    tier: TierRecord
    active: Rollout | None
    frozen: str | None
    """Why nothing may start or advance, or None."""


async def load(database: Database, tier: str, term: int | None = None) -> Loaded:
    """The tier with its active rollout. With ``term``, raises LostLeadership unless that term still leads."""
    async with database.transaction() as connection:
        if term is not None:
            await require_term(connection, term)
        cursor = await connection.execute("SELECT record FROM tiers WHERE tier = %s", (tier,))
        row = await cursor.fetchone()
        record = from_json(row[0], TierRecord) if row else TierRecord(tier)
        cursor = await connection.execute("SELECT record FROM rollouts WHERE tier = %s AND active", (tier,))
        row = await cursor.fetchone()
        active = from_json(row[0], Rollout) if row else None
        cursor = await connection.execute("SELECT reason FROM freezes WHERE tier = %s", (tier,))
        row = await cursor.fetchone()
        return Loaded(record, active, row[0] if row else None)


async def save(
    database: Database,
    decided: Decided,
    *,
    term: int,
    now: float,
    webhooks: Collection[str] = (),
) -> None:
    """Records, journal, look and the webhooks to call, in one transaction, if ``term`` still leads.

    Raises LostLeadership, Conflict (another rollout of the tier is active), StoreUnavailable.
    """
    tier, rollout = decided.tier, decided.rollout
    async with database.transaction() as connection:
        await require_term(connection, term)
        await connection.execute(
            "INSERT INTO tiers (tier, record) VALUES (%s, %s) "
            "ON CONFLICT (tier) DO UPDATE SET record = EXCLUDED.record",
            (tier.tier, to_json(tier)),
        )
        if rollout:
            try:
                await _save_rollout(connection, rollout)
            except UniqueViolation as e:
                raise Conflict(f"another rollout of {tier.tier} is active") from e
        for entry in decided.entries:
            await write_entry(connection, tier.tier, rollout.id if rollout else None, entry, now, webhooks)
        if rollout and decided.look:
            await write_look(connection, rollout, decided.look, decided.told, now)


async def _save_rollout(connection: Connection, rollout: Rollout) -> None:
    await connection.execute(
        "INSERT INTO rollouts (id, tier, release, state, active, created_at, record) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE "
        "SET state = EXCLUDED.state, active = EXCLUDED.active, record = EXCLUDED.record",
        (
            rollout.id,
            rollout.tier,
            rollout.release.name,
            rollout.state.value,
            rollout.state not in ENDED,
            rollout.created_at,
            to_json(rollout),
        ),
    )


async def write_entry(
    connection: Connection, tier: str, rollout: str | None, entry: Entry, now: float, webhooks: Collection[str]
) -> None:
    cursor = await connection.execute(
        "INSERT INTO journal (at, tier, rollout, actor, kind, event, from_state, to_state, reason, payload) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING seq",
        (
            now,
            tier,
            rollout,
            entry.actor,
            entry.kind,
            entry.event,
            entry.from_state,
            entry.to_state,
            entry.reason,
            to_json(entry.payload),
        ),
    )
    row = await cursor.fetchone()
    if row is None or not entry.to_state:  # webhooks hear of transitions alone
        return
    for webhook in webhooks:
        await connection.execute(
            "INSERT INTO deliveries (seq, webhook, due_at) VALUES (%s, %s, %s)", (row[0], webhook, now)
        )


async def get_rollout(database: Database, rollout_id: str) -> Rollout:
    """Raises NotFound."""
    async with database.transaction() as connection:
        cursor = await connection.execute("SELECT record FROM rollouts WHERE id = %s", (rollout_id,))
        row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"no rollout {rollout_id}; 'ops canary history' shows those there were")
    return from_json(row[0], Rollout)


async def list_rollouts(database: Database, tier: str | None, count: int) -> list[Rollout]:
    """The newest first."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT record FROM rollouts WHERE %s::text IS NULL OR tier = %s ORDER BY created_at DESC LIMIT %s",
            (tier, tier, count),
        )
        return [from_json(row[0], Rollout) for row in await cursor.fetchall()]


async def read_journal(database: Database, rollout_id: str | None, after: int, count: int) -> list[JournalLine]:
    """In order, from the first line after ``after``; of one rollout, or of all."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT seq, at, tier, rollout, kind, reason, event, from_state, to_state, actor, payload FROM journal "
            "WHERE seq > %s AND (%s::text IS NULL OR rollout = %s) ORDER BY seq LIMIT %s",
            (after, rollout_id, rollout_id, count),
        )
        return [journal_line(row) for row in await cursor.fetchall()]


def journal_line(row: tuple[Any, ...]) -> JournalLine:
    seq, at, tier, rollout, *entry = row
    return JournalLine(seq, at, tier, rollout, Entry(*entry))


async def read_looks(database: Database, rollout_id: str, after: int, count: int) -> list[LookLine]:
    """In order, from the first look after number ``after``."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT rollout, number, at, step, look FROM looks WHERE rollout = %s AND number > %s "
            "ORDER BY number LIMIT %s",
            (rollout_id, after, count),
        )
        return [LookLine(row[0], row[1], row[2], row[3], from_json(row[4], Look)) for row in await cursor.fetchall()]
