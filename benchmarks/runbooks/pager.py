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

    def first(self, status: str, labels: Mapping[str, str], since: float) -> Told | None:
        """The first that was told since then of an alert with these labels."""
        return next(
            (t for t in self.told if t.at >= since and t.status == status and labels.items() <= t.labels.items()), None
        )


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
