"""Tells other systems of transitions: one POST of JSON each."""

from __future__ import annotations

from typing import Any

import aiohttp

_TIMEOUT_SECONDS = 5.0


class WebhookError(Exception):
    """The receiver could not be reached or did not accept. Worth another try."""


async def deliver(session: aiohttp.ClientSession, url: str, payload: dict[str, Any], delivery_id: str) -> None:
    """Raises WebhookError. ``delivery_id`` is the same for each try, so that a receiver can tell repeats."""
    try:
        async with session.post(
            url,
            json=payload,
            headers={"x-delivery-id": delivery_id},
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
            allow_redirects=False,
        ) as response:
            if response.status >= 300:
                raise WebhookError(f"status {response.status}")
    except (aiohttp.ClientError, TimeoutError) as e:
        raise WebhookError(type(e).__name__) from e
