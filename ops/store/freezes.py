"""Change freezes: while one is on, nothing starts or advances; rolling back stays possible."""

from __future__ import annotations

from ops.rollout.decided import Entry
from ops.store.database import Database
from ops.store.rollouts import write_entry


async def freeze(database: Database, tier: str, reason: str, actor: str, now: float) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO freezes (tier, reason, actor, at) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (tier) DO UPDATE SET reason = EXCLUDED.reason, actor = EXCLUDED.actor, at = EXCLUDED.at",
            (tier, reason, actor, now),
        )
        await write_entry(connection, tier, None, Entry("freeze", reason, actor=actor), now, ())


async def lift_freeze(database: Database, tier: str, reason: str, actor: str, now: float) -> bool:
    """Whether there was one."""
    async with database.transaction() as connection:
        cursor = await connection.execute("DELETE FROM freezes WHERE tier = %s", (tier,))
        if cursor.rowcount:
            await write_entry(connection, tier, None, Entry("unfreeze", reason, actor=actor), now, ())
        return bool(cursor.rowcount)


async def list_freezes(database: Database) -> list[dict[str, object]]:
    async with database.transaction() as connection:
        cursor = await connection.execute("SELECT tier, reason, actor, at FROM freezes ORDER BY tier")
        return [dict(zip(("tier", "reason", "actor", "at"), row, strict=True)) for row in await cursor.fetchall()]
