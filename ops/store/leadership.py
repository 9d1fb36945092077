"""Who leads: one controller at a time, by a lock that PostgreSQL drops when its holder dies.

The lock alone would not do: a controller that was paused may not know that its session is gone. So each holder
raises a term, and every write of the controller is refused once a higher term is there. One that hangs would keep
its session, and with it the lock, for ever: PostgreSQL ends a session that has said nothing for a while.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

import psycopg

from ops.store.database import CONNECT_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_MS, Connection, translated_errors
from ops.store.errors import LostLeadership

SILENT_SECONDS_MAX = 10.0
"""A leader that has not shown that it is alive for so long no longer leads. Below a lease, so that another may take
over before the workers give up; above what a tick may take where something that it asks hangs."""
_LOCK_KEY = 0x6772617465  # any number, the same for all controllers of a database


class Leadership:
    """A session that holds the lock. Use as an async context manager; the lock goes with it."""

    def __init__(self, connection: Connection, term: int):
        self._connection = connection
        self.term = term

    async def __aenter__(self) -> Leadership:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def alive(self) -> bool:
        """Whether the session still is, by asking it; ask more often than every ``SILENT_SECONDS_MAX``."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await self._connection.execute("SELECT 1")
        except (psycopg.Error, TimeoutError):
            return False
        return True


async def try_to_lead(url: str, holder: str) -> Leadership | None:
    """None if another holds the lock. Raises StoreError."""
    async with translated_errors():
        connection = await psycopg.AsyncConnection.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name=f"leader {holder}",
            options=f"-c idle_session_timeout={SILENT_SECONDS_MAX:g}s -c statement_timeout={STATEMENT_TIMEOUT_MS}",
        )
        try:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,))
            row = await cursor.fetchone()
            if row is None or not row[0]:
                await connection.close()
                return None
            cursor = await connection.execute(
                "UPDATE leadership SET term = term + 1, holder = %s RETURNING term", (holder,)
            )
            term = await cursor.fetchone()
        except psycopg.Error:
            await connection.close()
            raise
        if term is None:
            await connection.close()
            raise LostLeadership("the leadership row is missing")
        return Leadership(connection, int(term[0]))


async def require_term(connection: Connection, term: int) -> None:
    """Within a transaction, before its writes. Raises LostLeadership."""
    cursor = await connection.execute("SELECT term, holder FROM leadership FOR SHARE")
    row = await cursor.fetchone()
    if row is None or row[0] != term:
        raise LostLeadership(f"controller {row[1] if row else '?'} leads since")
