"""A rollout watched live: a picture on a terminal, a line a change on a pipe, until nobody but a person moves it.

A controller that is away is waited for, up to a bound: it will go on from its journal, and so does the watch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from ops.cli.rollout_outcome import end_verdict, standstill_verdict
from ops.cli.rollout_view import rollout_panel
from ops.cli.rollout_waiting import waits_for
from ops.cli.rollout_words import duration, journal_words, moment, plain
from ops.judge.model import Decision
from ops.judge.wording import summary
from ops.rollout.record import Rollout
from ops.store.rollouts import JournalLine, LookLine

if TYPE_CHECKING:
    from ops.adapters.controller_client import ControllerClient

POLL_SECONDS = 1.0
SILENCE_SECONDS_MAX = 600.0
"""A controller away for longer than this ends the watch; leases have long run out by then."""


@dataclass(frozen=True)
class Sight:
    """What is to be shown now."""

    rollout: Rollout
    look: LookLine | None
    journal: tuple[JournalLine, ...]
    """New since the last sight."""
    silent_since: float | None = None
    """Unix seconds: since when the controller has not answered."""


Show = Callable[[Sight], None]


async def last_look(client: ControllerClient, rollout: Rollout) -> LookLine | None:
    """The newest look that is kept. Raises ControllerError."""
    if not rollout.looks:
        return None
    looks = await client.looks(rollout.id, rollout.looks - 1)
    return looks[-1] if looks else None


async def watch(client: ControllerClient, rollout_id: str, show: Show) -> Sight:
    """Until the rollout has ended, or has just come to where only a person moves it on.

    One that stands still already when the watch begins is watched on. Raises ControllerError; ControllerUnavailable
    once the controller has been away for ``SILENCE_SECONDS_MAX``.
    """
    began_still: float | None = None
    first = True
    async for sight in _sights(client, rollout_id):
        show(sight)
        rollout = sight.rollout
        if sight.silent_since is not None:
            continue
        if end_verdict(rollout):
            return sight
        still = rollout.state_since if standstill_verdict(rollout) else None
        if first:
            first, began_still = False, still
        elif still is not None and still != began_still:
            return sight
    raise AssertionError("the sights do not end by themselves")


async def _sights(client: ControllerClient, rollout_id: str) -> AsyncIterator[Sight]:
    from ops.adapters.controller_client import ControllerUnavailable

    sight = Sight(await client.rollout(rollout_id), None, ())
    seq, silent_since = 0, None
    while True:
        try:
            rollout = await client.rollout(rollout_id)
            look = await last_look(client, rollout)
            journal = tuple(await client.journal(rollout_id, seq))
        except ControllerUnavailable:
            silent_since = silent_since or time.time()
            if time.time() - silent_since > SILENCE_SECONDS_MAX:
                raise
            sight = Sight(sight.rollout, sight.look, (), silent_since)
        else:
            silent_since = None
            seq = journal[-1].seq if journal else seq
            sight = Sight(rollout, look or sight.look, journal)
        yield sight
        await asyncio.sleep(POLL_SECONDS)


class WatchView(AbstractContextManager["WatchView"]):
    """Shows sights on ``console``: journal lines that stay, and on a terminal the picture below them."""

    def __init__(self, console: Console):
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._decision: Decision | None = None
        self._silent = False

    def __enter__(self) -> WatchView:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, sight: Sight) -> None:
        for line in sight.journal:
            self._say(line.at, f"{journal_words(line)} ({plain(line.entry.actor)})")
        if self._live:
            self._live.update(_picture(sight, time.time()), refresh=True)
        else:
            self._changes(sight, time.time())

    def _changes(self, sight: Sight, now: float) -> None:
        """What the journal does not say: that looks turned blind or see again, that the controller is away."""
        silent = sight.silent_since is not None
        if silent != self._silent:
            self._silent = silent
            self._say(now, "the controller does not answer" if silent else "the controller answers again")
        line = sight.look
        if line is None or line.look.decision is self._decision:
            return
        self._decision = line.look.decision
        waiting = waits_for(sight.rollout, line.look, now)
        words = f"waits for {'; '.join(waiting)}" if waiting else summary(line.look)
        self._say(line.at, f"look {line.number}: {self._decision.value.replace('_', ' ')}: {plain(words)}")

    def _say(self, at: float, words: str) -> None:
        # Unwrapped: on a pipe one change is one line.
        self._console.print(Text(f"{moment(at)}  {words}"), soft_wrap=True)


def _picture(sight: Sight, now: float) -> RenderableType:
    panel = rollout_panel(sight.rollout, sight.look, now)
    if sight.silent_since is None:
        return panel
    silence = f"the controller has not answered for {duration(now - sight.silent_since)}: this is what was last known"
    return Group(panel, Text(silence, style="bold yellow"))
