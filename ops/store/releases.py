"""The registry of releases. A release is never changed: another digest is another release."""

from __future__ import annotations

from ops.rollout.record import Release
from ops.store.database import Connection, Database
from ops.store.errors import Conflict, NotFound
from ops.store.records import from_json, to_json
from ops.store.transcripts import queue_transcript


async def add_release(database: Database, release: Release) -> None:
    """Raises Conflict if the name is taken."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "INSERT INTO releases (name, tier, digest, created_at, record) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (name) DO NOTHING",
            (release.name, release.tier, release.digest, release.created_at, to_json(release)),
        )
        if not cursor.rowcount:
            raise Conflict(f"a release {release.name} is there already; a changed release needs a name of its own")
        await queue_transcript(connection, release.name)


async def list_releases(database: Database, tier: str | None = None) -> list[Release]:
    """The newest first."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT record FROM releases WHERE %s::text IS NULL OR tier = %s ORDER BY created_at DESC, name",
            (tier, tier),
        )
        return [from_json(row[0], Release) for row in await cursor.fetchall()]


async def get_release(database: Database, name: str) -> Release:
    """Raises NotFound."""
    async with database.transaction() as connection:
        return await read_release(connection, name)


async def read_release(connection: Connection, name: str) -> Release:
    cursor = await connection.execute("SELECT record FROM releases WHERE name = %s", (name,))
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"no release {name}; 'ops release list' shows those there are")
    return from_json(row[0], Release)
