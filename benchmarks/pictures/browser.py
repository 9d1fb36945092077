"""Chromium without a window, told over its DevTools protocol to open a page and to take its picture."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

START_SECONDS_MAX = 60.0
DRAW_SECONDS_MAX = 120.0
END_SECONDS_MAX = 10.0
POLL_SECONDS = 0.1
PAINT_SECONDS = 0.5
"""Within it what has come into the window is painted."""
ANSWER_BYTES_MAX = 64 << 20
VIEW_HEIGHT = 1000
"""Pixels of the window at first; for the picture it is as high as the page."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class BrowserError(Exception):
    """There is no browser, or it did not do what it was told."""


@dataclass(frozen=True)
class Picture:
    png: bytes
    drawn: dict[str, Any]
    """What the page says of itself."""


@dataclass
class Browser:
    socket: aiohttp.ClientWebSocketResponse
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    session: str | None = None

    async def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The command's result. Events that come meanwhile are of no interest. Raises BrowserError."""
        number = next(self.numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        await self.socket.send_json(message)
        async with asyncio.timeout(DRAW_SECONDS_MAX):
            while True:
                said = await self.socket.receive_json()
                if said.get("id") == number:
                    break
        if "error" in said:
            raise BrowserError(f"{method}: {said['error']['message']}")
        return dict(said["result"])

    async def value(self, expression: str) -> Any:
        """Of JavaScript on the page; None where it has none."""
        found = await self.tell("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    async def picture(self, url: str, width: int) -> Picture:
        """Of the whole page, once it has set ``window.drawn``. Raises BrowserError."""
        target = await self.tell("Target.createTarget", url="about:blank")
        attached = await self.tell("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        try:
            return await self._taken(url, width)
        finally:
            self.session = None
            await self.tell("Target.closeTarget", targetId=target["targetId"])

    async def _taken(self, url: str, width: int) -> Picture:
        await self._size(width, VIEW_HEIGHT)
        await self.tell("Page.navigate", url=url)
        for _ in range(round(DRAW_SECONDS_MAX / POLL_SECONDS)):
            if (drawn := await self.value("window.drawn")) is not None:
                break
            await asyncio.sleep(POLL_SECONDS)
        else:
            raise BrowserError(f"{url} is not drawn after {DRAW_SECONDS_MAX:g} s")
        height = await self.value("document.getElementById('page').scrollHeight")
        await self._size(width, height)  # what lies outside of the window is not always painted
        await asyncio.sleep(PAINT_SECONDS)
        shot = await self.tell("Page.captureScreenshot", format="png")
        return Picture(base64.b64decode(shot["data"]), drawn)

    async def _size(self, width: int, height: int) -> None:
        await self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Ends it, and removes all that it wrote. Raises BrowserError."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise BrowserError("there is no Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="pictures-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            *(found, *OPTIONS, f"--user-data-dir={folder}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            address = await _address(process, Path(folder) / "DevToolsActivePort")
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(address, max_msg_size=ANSWER_BYTES_MAX) as socket,
            ):
                yield Browser(socket)
        finally:
            await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """And those that it has started, which would write into its folder while that is removed."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS_MAX)
    finally:
        with contextlib.suppress(ProcessLookupError):
            for _ in range(round(END_SECONDS_MAX / POLL_SECONDS)):
                os.killpg(process.pid, signal.SIGKILL)  # raises once there is none left
                await asyncio.sleep(POLL_SECONDS)


async def _address(process: asyncio.subprocess.Process, file: Path) -> str:
    """Of its DevTools, which it writes down once it listens."""
    for _ in range(round(START_SECONDS_MAX / POLL_SECONDS)):
        if process.returncode is not None:
            break
        if found := _written(file):
            return found
        await asyncio.sleep(POLL_SECONDS)
    raise BrowserError("Chromium does not start")


def _written(file: Path) -> str | None:
    try:
        port, path = file.read_text(encoding="utf-8").split()
    except (OSError, ValueError):  # not yet, or not whole
        return None
    return f"ws://127.0.0.1:{port}{path}"
