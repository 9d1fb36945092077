"""Once in a while, the leading controller forgets what is older than the spec keeps."""

from __future__ import annotations

import asyncio
import time

import structlog

from ops.rollout.controlling import Controller
from ops.store.answers import forget_answers
from ops.store.errors import StoreError
from ops.store.retention import forget_before

_PERIOD_SECONDS = 600.0
_DAY_SECONDS = 86_400.0
ANSWERS_KEPT_SECONDS = _DAY_SECONDS
"""How long a repeated request with the same idempotency key gets the same answer."""

log = structlog.get_logger("controller")


async def retain(controller: Controller, journal_days: float) -> None:
    """Until cancelled."""
    database = controller.around.database
    while True:
        if controller.leadership is not None:
            try:
                now = time.time()
                await forget_answers(database, now - ANSWERS_KEPT_SECONDS)
                gone = await forget_before(database, now - journal_days * _DAY_SECONDS, now)
                if gone:
                    log.info("forgotten", lines=gone, older_than_days=journal_days)
            except StoreError as e:
                log.warning("nothing_forgotten", reason=str(e))
        await asyncio.sleep(_PERIOD_SECONDS)
