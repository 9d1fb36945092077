"""Each dashboard to a picture: the page that draws it is served here, and a browser looks at it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from PIL import Image

from benchmarks.pictures.browser import browser
from ops.verdict import Evidence, Outcome, Verdict

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "pictures"
"""Where ``make pictures`` puts the page and Grafana's packages."""
ICONS = BUILT / "node_modules" / "@grafana" / "ui" / "dist" / "public" / "img" / "icons"
WIDTH = 1600
COLOURS = 256
"""Of a picture: enough for panels, and a third of the bytes."""
PICTURE_BYTES_MAX = 400_000


@dataclass(frozen=True)
class Asked:
    prometheus_url: str
    start: float
    end: float
    """Unix seconds: the range that is shown."""
    scrape_seconds: float
    """As a Grafana is told of its data source: rates are taken over four of these at least."""


@dataclass(frozen=True)
class Drawn:
    dashboard: str
    png: bytes
    panels: tuple[dict[str, Any], ...]
    """Of each: ``panel`` (its title), ``series``, and ``error`` where it could not be drawn."""
    error: str | None
    """Why there are no panels at all."""


def names(folder: Path) -> list[str]:
    """Of the dashboards there."""
    return sorted(path.stem for path in folder.glob("*.json"))


async def drawn(folder: Path, dashboards: Sequence[str], asked: Asked) -> list[Drawn]:
    """One after the other. Raises BrowserError."""
    found = []
    async with page(folder) as url, browser() as window:
        for name in dashboards:
            parameters = {
                "dashboard": name,
                "prometheus": asked.prometheus_url,
                "from": asked.start,
                "to": asked.end,
                "scrape_seconds": asked.scrape_seconds,
            }
            picture = await window.picture(f"{url}/?{urlencode(parameters)}", WIDTH)
            panels = tuple(picture.drawn.get("panels", ()))
            png = await asyncio.to_thread(small, picture.png)
            found.append(Drawn(name, png, panels, picture.drawn.get("error")))
    return found


@asynccontextmanager
async def page(folder: Path) -> AsyncIterator[str]:
    """The address at which the page, Grafana's icons and the dashboards of ``folder`` are."""

    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(BUILT / "page" / "index.html")

    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_static("/public/build/img/icons", ICONS)
    app.router.add_static("/dashboards", folder)
    app.router.add_static("/", BUILT / "page")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def small(png: bytes) -> bytes:
    """The same picture in few colours."""
    with Image.open(io.BytesIO(png)) as image:
        reduced = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    out = io.BytesIO()
    reduced.save(out, "png", optimize=True)
    return out.getvalue()


def top(png: bytes, height: int) -> bytes:
    """Of a picture the first so many rows of pixels."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.crop((0, 0, image.width, min(height, image.height))).save(out, "png", optimize=True)
    return out.getvalue()


def judged(pictures: Sequence[Drawn], empty: frozenset[tuple[str, str]]) -> Verdict:
    """Fails where a panel could not be drawn, or has no data and is not of ``empty``: dashboard and title."""
    found = [Evidence(text) for one in pictures for text in _faults(one, empty)]
    if found:
        return Verdict(Outcome.FAIL, tuple(found))
    count = sum(len(one.panels) for one in pictures)
    if not count:
        return Verdict(Outcome.INVALID, (Evidence("nothing was drawn"),))
    return Verdict(Outcome.PASS, (Evidence(f"{count} panels of {len(pictures)} dashboards drawn", {"panels": count}),))


def _faults(one: Drawn, empty: frozenset[tuple[str, str]]) -> Iterator[str]:
    if one.error is not None:
        yield f"{one.dashboard}: {one.error}"
    for panel in one.panels:
        if panel.get("error"):
            yield f"{one.dashboard}: {panel['panel']}: {panel['error']}"
        elif not panel["series"] and (one.dashboard, panel["panel"]) not in empty:
            yield f"{one.dashboard}: {panel['panel']}: no data"
    if len(one.png) > PICTURE_BYTES_MAX:
        yield f"{one.dashboard}: the picture has {len(one.png):,} bytes, {PICTURE_BYTES_MAX:,} are the most"
