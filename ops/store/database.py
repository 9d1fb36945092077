"""Connections to PostgreSQL, and the translation of its errors into ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import TupleRow, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ops.store.errors import Conflict, StoreError, StoreUnavailable

Connection = psycopg.AsyncConnection[TupleRow]
Row = tuple[Any, ...]

_POOL_SIZE_MAX = 4
CONNECT_TIMEOUT_SECONDS = 3
STATEMENT_TIMEOUT_MS = 10_000
IDLE_TRANSACTION_TIMEOUT_MS = 5_000
"""A controller that hangs within a transaction must not keep what it has locked: its successor's term waits for it."""
_OPTIONS = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS} "
    f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_TIMEOUT_MS}"
)


class Database:
    """A small pool. Opened lazily, so that a controller can start while the database is away."""

    def __init__(self, url: str):
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=0,
            max_size=_POOL_SIZE_MAX,
            open=False,
            timeout=CONNECT_TIMEOUT_SECONDS,
            # A connection that died with the server is found out before it is lent.
            check=AsyncConnectionPool.check_connection,
            kwargs={
                "row_factory": tuple_row,
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "options": _OPTIONS,
                "application_name": "gratefulgpt-ops",
            },
        )

    async def open(self) -> None:
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Commits at the end, rolls back on any error. Raises StoreError and its kinds."""
        with_errors = translated_errors()
        async with with_errors, self._pool.connection() as connection:
            yield connection


@asynccontextmanager
async def translated_errors() -> AsyncIterator[None]:
    try:
        yield
    except PoolTimeout as e:
        raise StoreUnavailable(f"the database does not answer within {CONNECT_TIMEOUT_SECONDS} s") from e
    except psycopg.errors.UniqueViolation as e:
        raise Conflict(e.diag.message_primary or str(e)) from e
    except psycopg.OperationalError as e:
        raise StoreUnavailable(f"the database cannot be reached: {_first_line(e)}") from e
    except psycopg.Error as e:
        raise StoreError(_first_line(e)) from e


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
