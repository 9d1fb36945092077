"""The end of the line: a web server that Alertmanager tells of alerts, as it would tell a pager."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Told:
    at: float
    """By the monotonic clock."""
    status: str
    """``firing`` or ``resolved``."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass
class Pager:
    url: str = ""
    told: list[Told] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        now = time.monotonic()
        self.told += [Told(now, one["status"], one["labels"], one["annotations"]) for one in body["alerts"]]
        return web.Response()

    def last(self, labels: Mapping[str, str]) -> Told | None:
        """The last that was told of an alert with these labels. One told as firing and never as resolved is still
        known to whoever is paged: Alertmanager does not tell them again when it comes back within its group's interval.
        """
        return next((told for told in reversed(self.told) if labels.items() <= told.labels.items()), None)


@asynccontextmanager
async def pager() -> AsyncIterator[Pager]:
    found = Pager()
    app = web.Application()
    app.router.add_post("/", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield found
    finally:
        await runner.cleanup()
