"""Calls the webhooks that the journal says are due, and tries again what failed, up to a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import aiohttp
import structlog

from ops.adapters.annotations import RECEIVER, Annotations
from ops.adapters.webhooks import WebhookError, deliver
from ops.rollout.clocks import read_clocks
from ops.rollout.controlling import Controller
from ops.rollout.record import Clock
from ops.store.deliveries import Delivery, delivery_done, delivery_failed, due_deliveries
from ops.store.errors import StoreError

ATTEMPTS_MAX = 8
FIRST_RETRY_SECONDS = 2.0
"""Doubled after each try: the last comes about four minutes after the first."""
_POLL_SECONDS = 1.0
_BATCH = 20

log = structlog.get_logger("notifier")


Clocks = Callable[[], tuple[float, Clock]]
"""Unix seconds now, and the clock that they were read from."""


async def notify(
    controller: Controller,
    session: aiohttp.ClientSession,
    urls: Mapping[str, str],
    clocks: Clocks = read_clocks,
    annotations: Annotations | None = None,
) -> None:
    """Until cancelled. ``urls`` by webhook name. Works only while the controller leads, so that one alone calls."""
    database = controller.around.database
    while True:
        try:
            if controller.leadership is not None:
                for delivery in await due_deliveries(database, *clocks(), _BATCH):
                    await _try(controller, session, urls, delivery, clocks, annotations)
        except StoreError as e:
            log.warning("no_database", reason=str(e))
        await asyncio.sleep(_POLL_SECONDS)


async def _try(
    controller: Controller,
    session: aiohttp.ClientSession,
    urls: Mapping[str, str],
    delivery: Delivery,
    clocks: Clocks,
    annotations: Annotations | None,
) -> None:
    database, line = controller.around.database, delivery.line
    url, in_grafana = urls.get(delivery.webhook), delivery.webhook == RECEIVER
    if url is None and not (in_grafana and annotations):
        await delivery_failed(database, delivery, "the spec has no such webhook any more", None, *clocks())
        return
    payload = {
        "schema": "gratefulgpt.transition/1",
        "at_unix_seconds": line.at,
        "tier": line.tier,
        "rollout": line.rollout,
        "event": line.entry.event or line.entry.kind,
        "from_state": line.entry.from_state,
        "to_state": line.entry.to_state,
        "actor": line.entry.actor,
        "reason": line.entry.reason,
    }
    try:
        if url is not None:
            await deliver(session, url, payload, f"{line.seq}-{delivery.webhook}")
        elif annotations is not None:
            await annotations.deliver(session, line)
    except WebhookError as e:
        attempts = delivery.attempts + 1
        now, clock = clocks()
        due = now + FIRST_RETRY_SECONDS * 2**delivery.attempts if attempts < ATTEMPTS_MAX else None
        log.warning("webhook_failed", webhook=delivery.webhook, attempts=attempts, reason=str(e), final=due is None)
        await delivery_failed(database, delivery, str(e), due, now, clock)
    else:
        await delivery_done(database, delivery, clocks()[0])
