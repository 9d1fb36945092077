"""Forgets what is older than the spec keeps: looks first, they are the bulk; then the journal and its deliveries."""

from __future__ import annotations

from ops.rollout.decided import CONTROLLER, Entry
from ops.store.database import Database
from ops.store.rollouts import write_entry

EVERY_TIER = "*"
"""Stands in the journal's column for what concerns no single tier."""


async def forget_before(database: Database, at: float, now: float) -> int:
    """Drops looks and journal lines from before ``at`` (Unix seconds), active rollouts excepted. How many went.

    The one way in which anything leaves them, and the journal says so.
    """
    async with database.transaction() as connection:
        # For this transaction alone; the triggers let nothing younger go.
        await connection.execute("SELECT set_config('gratefulgpt.forget_before', %s, true)", (repr(at),))
        looks = await connection.execute(
            "DELETE FROM looks USING rollouts r WHERE looks.rollout = r.id AND looks.at < %s AND NOT r.active", (at,)
        )
        lines = await connection.execute(
            "DELETE FROM journal j WHERE j.at < %s "
            "AND NOT EXISTS (SELECT FROM rollouts r WHERE r.id = j.rollout AND r.active)",
            (at,),
        )
        gone = {"looks": looks.rowcount, "lines": lines.rowcount}
        if any(gone.values()):
            reason = f"{gone['looks']} looks and {gone['lines']} lines were older than the spec keeps"
            entry = Entry("forgotten", reason, actor=CONTROLLER, payload={**gone, "before": at})
            await write_entry(connection, EVERY_TIER, None, entry, now, ())
        return sum(gone.values())
