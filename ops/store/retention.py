"""Forgets what is older than the spec keeps: looks first, they are the bulk; then the journal and its deliveries."""

from __future__ import annotations

from ops.store.database import Database


async def forget_before(database: Database, at: float) -> int:
    """Drops looks and journal lines from before ``at`` (Unix seconds), active rollouts excepted. How many went."""
    async with database.transaction() as connection:
        looks = await connection.execute(
            "DELETE FROM looks USING rollouts r WHERE looks.rollout = r.id AND looks.at < %s AND NOT r.active", (at,)
        )
        lines = await connection.execute(
            "DELETE FROM journal j WHERE j.at < %s "
            "AND NOT EXISTS (SELECT FROM rollouts r WHERE r.id = j.rollout AND r.active)",
            (at,),
        )
        return looks.rowcount + lines.rowcount
