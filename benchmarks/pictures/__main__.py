"""Draws every dashboard to a picture, of a stack of its own or of a Prometheus that is there."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

import stamina.instrumentation

from benchmarks.pictures.browser import BrowserError
from benchmarks.pictures.drawing import BUILT, ROOT, Asked, Drawn, drawn, judged, names, top
from benchmarks.pictures.scene import scene
from benchmarks.runbooks.world import WorldBroken
from ops.adapters.controller_client import ControllerError
from ops.demo.load import LoadError
from ops.stack.state import StackError
from ops.verdict import Evidence, Outcome, Verdict

SCRAPE_SECONDS = 5.0
"""The stack's Prometheus scrapes every second; over four times as long a rate of few requests is mostly noise."""
FIRST, FIRST_HEIGHT = "overview", 955
"""Of this dashboard there is a picture of what is seen first, too: as far as the first panels of the promises."""
EMPTY: frozenset[tuple[str, str]] = frozenset()
"""Panels without data in the scene, by dashboard and title."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    there = names(ROOT / "dashboards")
    parser.add_argument("--only", action="append", choices=there, help="only this dashboard; may be repeated (all)")
    parser.add_argument("--dashboards", type=Path, default=ROOT / "dashboards", help="the folder of their JSON")
    parser.add_argument("--prometheus", metavar="URL", help="draw of this one (a stack is started, with load)")
    parser.add_argument("--until", type=float, metavar="SECONDS", help="Unix time at which these end (now)")
    parser.add_argument("--minutes", type=float, default=15, help="how many of them are shown of --prometheus (15)")
    parser.add_argument(
        "--scrape-seconds", type=float, default=SCRAPE_SECONDS, help="as the data source says (%(default)g)"
    )
    parser.add_argument("--output", type=Path, default=Path("docs/images"), help="the pictures' folder (%(default)s)")
    parser.add_argument("--hold", action="store_true", help="wait for Ctrl-C before the stack ends, to draw again")
    chosen = parser.parse_args()
    stamina.instrumentation.set_on_retry_hooks([])  # retries of the controller's client are its own business
    if not (BUILT / "page" / "main.js").is_file():
        parser.error("the page is not built: make pictures")
    try:
        found = asyncio.run(pictures(chosen))
    except (WorldBroken, StackError, ControllerError, LoadError, BrowserError) as e:
        return _told(Verdict(Outcome.INVALID, (Evidence(f"nothing has been drawn: {e}"),)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _told(Verdict(Outcome.INVALID, (Evidence("interrupted"),)))
    return _told(judged(found, EMPTY))


def _told(verdict: Verdict) -> int:
    print(*(item.text for item in verdict.evidence), verdict.outcome.value, sep="\n")
    return verdict.exit_code


async def pictures(chosen: argparse.Namespace) -> list[Drawn]:
    """Writes them."""
    if task := asyncio.current_task():  # SIGTERM ends the stack and the load too, as Ctrl-C does
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if chosen.prometheus:
        end = chosen.until or time.time()
        return await written(chosen, Asked(chosen.prometheus, end - 60 * chosen.minutes, end, chosen.scrape_seconds))
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        async with scene(Path(folder)) as shown:
            url, start, end = shown.world.prometheus_url, shown.start, time.time()
            print(f"from {start:.0f} to {end:.0f} in {url}", file=sys.stderr, flush=True)
            found = await written(chosen, Asked(url, start, end, chosen.scrape_seconds))
            if chosen.hold:
                await asyncio.Event().wait()
            return found


async def written(chosen: argparse.Namespace, asked: Asked) -> list[Drawn]:
    found = await drawn(chosen.dashboards.resolve(), chosen.only or names(chosen.dashboards), asked)
    chosen.output.mkdir(parents=True, exist_ok=True)
    for one in found:
        path = chosen.output / f"dashboard-{one.dashboard}.png"
        path.write_bytes(one.png)
        if one.dashboard == FIRST:
            path.with_stem(f"{path.stem}-top").write_bytes(top(one.png, FIRST_HEIGHT))
        print(f"{path}: {len(one.png):,} bytes, {len(one.panels)} panels", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
