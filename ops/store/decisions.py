"""The decision log: the journal's lines over rollouts and tiers, each with the look that decided it."""

from __future__ import annotations

from dataclasses import dataclass

from ops.judge.model import Look
from ops.store.database import Database
from ops.store.records import from_json
from ops.store.rollouts import JournalLine, LookLine, journal_line


@dataclass(frozen=True)
class Wanted:
    """Which lines; None is no bound. Times are Unix seconds, the first included, the last not."""

    rollout: str | None = None
    tier: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True)
class Decision:
    line: JournalLine
    look: LookLine | None
    """The look that decided it; None where another or nobody's did, or where it is no longer kept."""


async def read_decisions(database: Database, wanted: Wanted, after: int, count: int) -> list[Decision]:
    """In order, from the first line after ``after``."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT j.seq, j.at, j.tier, j.rollout, j.kind, j.reason, j.event, j.from_state, j.to_state, j.actor, "
            "j.payload, l.rollout, l.number, l.at, l.step, l.look FROM journal j "
            "LEFT JOIN looks l ON l.rollout = j.rollout AND l.number = (j.payload->>'look')::int "
            "WHERE j.seq > %(after)s AND (%(rollout)s::text IS NULL OR j.rollout = %(rollout)s) "
            "AND (%(tier)s::text IS NULL OR j.tier = %(tier)s) "
            "AND (%(since)s::float8 IS NULL OR j.at >= %(since)s) AND (%(until)s::float8 IS NULL OR j.at < %(until)s) "
            "ORDER BY j.seq LIMIT %(count)s",
            {
                "after": after,
                "rollout": wanted.rollout,
                "tier": wanted.tier,
                "since": wanted.since,
                "until": wanted.until,
                "count": count,
            },
        )
        rows = await cursor.fetchall()
    return [Decision(journal_line(row[:11]), _look(*row[11:])) for row in rows]


def _look(rollout: str | None, number: int, at: float, step: int, look: object) -> LookLine | None:
    return None if rollout is None else LookLine(rollout, number, at, step, from_json(look, Look))
