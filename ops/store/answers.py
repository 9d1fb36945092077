"""Answers kept by idempotency key: the same request sent again gets the same answer and does nothing twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.store.database import Database
from ops.store.records import to_json


@dataclass(frozen=True)
class KeptAnswer:
    request: str
    """Digest of method, path and body."""
    status: int
    body: Any


async def kept_answer(database: Database, key: str) -> KeptAnswer | None:
    async with database.transaction() as connection:
        cursor = await connection.execute("SELECT request, status, body FROM answers WHERE key = %s", (key,))
        row = await cursor.fetchone()
    return KeptAnswer(*row) if row else None


async def keep_answer(database: Database, key: str, answer: KeptAnswer, now: float) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO answers (key, request, status, body, at) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (key) DO NOTHING",
            (key, answer.request, answer.status, to_json(answer.body), now),
        )


async def forget_answers(database: Database, before: float) -> int:
    """Drops those older than ``before`` (Unix seconds). Returns how many."""
    async with database.transaction() as connection:
        cursor = await connection.execute("DELETE FROM answers WHERE at < %s", (before,))
        return cursor.rowcount
