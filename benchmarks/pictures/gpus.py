"""A page as dcgm-exporter writes it, of GPUs that are made up: there are none where the simulated engines run."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

GPUS = 2
MIB_USED, MIB_FREE = 73_000, 8_500
"""vLLM takes 90 % of an A100's 80 GB at its start."""
PERIOD_SECONDS = 120.0


def text(seconds: float) -> str:
    """What is scraped after so long."""
    return "".join(f"{line}\n" for gpu in range(GPUS) for line in _of(gpu, seconds))


def _of(gpu: int, seconds: float) -> Iterator[str]:
    busy = 0.5 + 0.4 * math.sin(2 * math.pi * (seconds / PERIOD_SECONDS + gpu / 3))
    labels = f'gpu="{gpu}",UUID="GPU-{gpu}",device="nvidia{gpu}",modelName="NVIDIA A100-SXM4-80GB",Hostname="node-1"'
    for name, value in (
        ("GPU_UTIL", 100 * busy),
        ("MEM_COPY_UTIL", 60 * busy),
        ("GPU_TEMP", 45 + 30 * busy),
        ("POWER_USAGE", 90 + 280 * busy),
        ("XID_ERRORS", 0),
        ("FB_USED", MIB_USED + 400 * busy),
        ("FB_FREE", MIB_FREE - 400 * busy),
    ):
        yield f"DCGM_FI_DEV_{name}{{{labels}}} {value:.0f}"


@asynccontextmanager
async def exported(prometheus_url: str, configuration: Path) -> AsyncIterator[None]:
    """Prometheus scrapes the page as the job ``dcgm`` from here on."""
    start = time.monotonic()

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=text(time.monotonic() - start))

    app = web.Application()
    app.router.add_get("/metrics", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _add(configuration, f"127.0.0.1:{runner.addresses[0][1]}")
        async with aiohttp.ClientSession() as session, session.post(f"{prometheus_url}/-/reload") as response:
            response.raise_for_status()
        yield
    finally:
        await runner.cleanup()


def _add(configuration: Path, address: str) -> None:
    content = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    content["scrape_configs"].append({"job_name": "dcgm", "static_configs": [{"targets": [address]}]})
    configuration.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
