"""Reference transcripts, kept with their releases: which are to be recorded, which are there."""

from __future__ import annotations

from collections.abc import Collection

from ops.quality.model import Transcript, TranscriptState, TranscriptStatus
from ops.rollout.decided import Entry
from ops.rollout.record import Release
from ops.store.database import Connection, Database
from ops.store.errors import NotFound
from ops.store.leadership import require_term
from ops.store.records import from_json, to_json
from ops.store.rollouts import write_entry

_STATUS = "release, state, reason, attempts, texts_digest, recorded_at"


async def queue_transcript(connection: Connection, release: str) -> None:
    """To be recorded, or recorded again."""
    await connection.execute(
        "INSERT INTO transcripts (release, state) VALUES (%s, %s) "
        "ON CONFLICT (release) DO UPDATE SET state = EXCLUDED.state, reason = '', attempts = 0",
        (release, TranscriptState.PENDING.value),
    )


async def record_again(database: Database, release: str) -> None:
    """Raises NotFound."""
    async with database.transaction() as connection:
        cursor = await connection.execute("SELECT FROM releases WHERE name = %s", (release,))
        if await cursor.fetchone() is None:
            raise NotFound(f"no release {release}; 'ops release list' shows those there are")
        await queue_transcript(connection, release)


async def next_to_record(
    database: Database, tier: str, needed: Collection[str]
) -> tuple[Release, TranscriptStatus] | None:
    """The oldest release of the tier that waits; first those that a rollout needs, even if they never were queued."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT r.record, coalesce(t.attempts, 0) FROM releases r LEFT JOIN transcripts t ON t.release = r.name "
            "WHERE r.tier = %s AND (t.state = 'pending' OR (t.release IS NULL AND r.name = ANY(%s))) "
            "ORDER BY r.name = ANY(%s) DESC, r.created_at, r.name LIMIT 1",
            (tier, list(needed), list(needed)),
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    release = from_json(row[0], Release)
    return release, TranscriptStatus(release.name, TranscriptState.PENDING, attempts=row[1])


async def transcript_statuses(database: Database, releases: Collection[str]) -> dict[str, TranscriptStatus]:
    """By release; one that was never queued is not there."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            f"SELECT {_STATUS} FROM transcripts WHERE release = ANY(%s)",  # noqa: S608 - a constant
            (list(releases),),
        )
        return {
            row[0]: TranscriptStatus(row[0], TranscriptState(row[1]), *row[2:]) for row in await cursor.fetchall()
        }


async def get_transcript(database: Database, release: str) -> Transcript | None:
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT record FROM transcripts WHERE release = %s AND state = %s",
            (release, TranscriptState.RECORDED.value),
        )
        row = await cursor.fetchone()
    return from_json(row[0], Transcript) if row and row[0] else None


async def save_transcript(
    database: Database, status: TranscriptStatus, transcript: Transcript | None, *, term: int, tier: str, now: float
) -> None:
    """The recording's outcome with its journal line, if ``term`` still leads. Raises LostLeadership."""
    async with database.transaction() as connection:
        await require_term(connection, term)
        await connection.execute(
            f"INSERT INTO transcripts ({_STATUS}, record) VALUES (%s, %s, %s, %s, %s, %s, %s) "  # noqa: S608
            "ON CONFLICT (release) DO UPDATE SET state = EXCLUDED.state, reason = EXCLUDED.reason, "
            "attempts = EXCLUDED.attempts, texts_digest = EXCLUDED.texts_digest, "
            "recorded_at = EXCLUDED.recorded_at, record = EXCLUDED.record",
            (
                status.release,
                status.state.value,
                status.reason,
                status.attempts,
                status.texts_digest,
                status.recorded_at,
                to_json(transcript) if transcript else None,
            ),
        )
        if status.state is TranscriptState.PENDING:
            return
        payload: dict[str, object] = {"release": status.release, "attempts": status.attempts}
        entry = Entry(f"transcript_{status.state.value}", f"{status.release}: {status.reason}", payload=payload)
        await write_entry(connection, tier, None, entry, now, ())
