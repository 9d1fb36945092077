"""Looks with what they were taken of, so that each can be taken again."""

from __future__ import annotations

from typing import Any

from ops.judge.model import Look
from ops.rollout.record import Rollout
from ops.rollout.recorded import RecordedLook, Told
from ops.store.database import Connection, Database
from ops.store.records import from_json, to_json


async def write_look(connection: Connection, rollout: Rollout, look: Look, told: Told | None, now: float) -> None:
    """As the newest of ``rollout``, which counts it already."""
    # The step that was looked at: the decision may have gone on to the next.
    step = told.situation.step if told else rollout.step
    of = to_json(told).obj if told else {}
    snapshots = of.pop("snapshots", [])
    await connection.execute(
        "INSERT INTO looks (rollout, number, at, step, decision, look, told, snapshots, digest) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            rollout.id,
            rollout.looks,
            now,
            step,
            look.decision.value,
            to_json(look),
            to_json(of or None),
            to_json(snapshots),
            rollout.looks_digest,
        ),
    )


async def read_recorded(database: Database, rollout_id: str, after: int, count: int) -> list[RecordedLook]:
    """In order, from the first look after number ``after``. Raises StoreError for one that is not understood."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT rollout, number, at, step, look, told, snapshots, digest FROM looks "
            "WHERE rollout = %s AND number > %s ORDER BY number LIMIT %s",
            (rollout_id, after, count),
        )
        return [_recorded(row) for row in await cursor.fetchall()]


async def read_told_every(database: Database, rollout_id: str, seconds: float, count: int) -> list[Told]:
    """What the judge was told at the first look of each ``seconds`` of the rollout, in order, ``count`` at most.

    Raises StoreError for one that is not understood.
    """
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT told, snapshots FROM looks WHERE number IN (SELECT min(number) FROM looks "
            "WHERE rollout = %s AND told IS NOT NULL GROUP BY floor(at / %s::float8)) "
            "AND rollout = %s ORDER BY number LIMIT %s",
            (rollout_id, seconds, rollout_id, count),
        )
        return [from_json({**of, "snapshots": snapshots}, Told) for of, snapshots in await cursor.fetchall() if of]


def _recorded(row: tuple[Any, ...]) -> RecordedLook:
    rollout, number, at, step, look, of, snapshots, digest = row
    told = from_json({**of, "snapshots": snapshots}, Told) if of else None
    return RecordedLook(rollout, number, at, step, from_json(look, Look), told, digest)
