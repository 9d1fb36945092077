"""Is a part of the stack healthy? Asked of the part itself, never concluded from a pid."""

from __future__ import annotations

import asyncio

import aiohttp

from ops.stack.programs import Check
from ops.store.errors import StoreError
from ops.store.server import ping

TIMEOUT_SECONDS = 3.0


async def unhealthy(session: aiohttp.ClientSession, check: Check, where: str) -> str | None:
    """Why the part at ``where`` is not healthy, or None. A database's ``where`` holds its password here."""
    if check is Check.DATABASE:
        try:
            await asyncio.to_thread(ping, where)
        except StoreError as e:
            return str(e)
        return None
    try:
        async with session.get(where, timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)) as response:
            return None if response.status == 200 else f"answers {response.status}"
    except TimeoutError:
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    except aiohttp.ClientError as e:
        return f"no answer ({type(e).__name__})"
