"""Reads what gateway workers count: their ``/metrics``, or a Prometheus's ``/federate`` with a matcher for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http.client import HTTPException
from urllib.request import urlopen

from ops.loadtest.server_side import Scrape, parsed

SCRAPE_SECONDS_MAX = 5.0
BYTES_MAX = 64 << 20


def scraped(addresses: Sequence[str]) -> tuple[Scrape, ...]:
    """One of each address. What could not be read is told in its ``error``."""
    return tuple(_scraped(address) for address in addresses)


def _scraped(address: str) -> Scrape:
    at = time.time()
    if not address.startswith(("http://", "https://")):
        return Scrape(address, at, error="it is no http address")
    try:
        with urlopen(address, timeout=SCRAPE_SECONDS_MAX) as answer:  # noqa: S310 - checked above
            return parsed(answer.read(BYTES_MAX).decode(), address, at)
    except (OSError, HTTPException, ValueError, KeyError) as e:
        return Scrape(address, at, error=str(e) or type(e).__name__)
