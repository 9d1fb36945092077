"""The story on the terminal: a live picture where there is one, a line for each change where there is not."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ops.cli.rollout_view import rollout_panel
from ops.demo.load import LoadNow
from ops.demo.telling import Scene


class StoryView:
    """Shows scenes on stderr. Use as a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4) if self._console.is_terminal else None
        self._said: set[object] = set()
        self._title = ""

    def __enter__(self) -> StoryView:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        self._console.print(Text(line))

    def show(self, scene: Scene) -> None:
        if self._live:
            self._live.update(_picture(scene))
        self._lines(scene)

    def _lines(self, scene: Scene) -> None:
        """What changed for good, above the live picture, so that it stays when the picture goes."""
        if scene.title != self._title:
            self._title = scene.title
            self._console.print(Rule(scene.title, align="left"))
        for line in scene.journal:
            if line.seq in self._said:
                continue
            self._said.add(line.seq)
            clock = time.strftime("%H:%M:%S", time.localtime(line.at))
            what = f"{line.entry.from_state} → {line.entry.to_state}" if line.entry.from_state else line.entry.kind
            weights = line.entry.payload.get("weights")
            if isinstance(weights, dict):
                what = "weights " + ", ".join(f"{arm} {share / 100:g} %" for arm, share in weights.items() if share)
            reason = "" if line.entry.kind == "routes" else line.entry.reason
            self._console.print(Text.assemble((f"{clock}  ", "dim"), (f"{what}  ", "bold"), reason))


def _picture(scene: Scene) -> RenderableType:
    parts: list[RenderableType] = []
    if scene.rollout:
        parts.append(rollout_panel(scene.rollout, scene.look, time.time()))
    if scene.load:
        parts.append(_load_line(scene.load))
    return Group(*parts)


def _load_line(load: LoadNow) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    p95 = "  ".join(f"{arm} {value:.0f} ms" for arm, value in load.p95_ms_by_arm.items() if arm)
    table.add_row(f"load {load.requests_per_second:.0f} requests/s", f"{load.failed} failed in 5 s", f"p95: {p95}")
    return table
