"""One request on its way: its deadlines, what went wrong with it, and how it is stopped.

Bad events and levels are counted when they become certain: one timer per request walks through its deadlines, so a
request that hangs is on its last level while it hangs. All others find their level at the end, or when content comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Any

from serving.contract import Arm, BadEvent, ClassConfig, Levels, Objective, TaskConfig
from serving.gateway.counting import Cell, CellKey, Counters
from serving.gateway.objectives import UNAVAILABLE, ObjectiveCounts
from serving.gateway.scanning import Usage

Deadline = tuple[float, BadEvent | Objective | None]
"""How long after its arrival, and what is certain then. None: the gateway gives up."""
TOKENS_WITH_INTERVALS_MIN = 2
"""An answer of fewer has no time between tokens."""
KINDS_OF_DEADLINES_MAX = 1024
"""Classes by strata by epochs kept by streamed or not; far more than any spec has."""


class Stop(Enum):
    """Why the gateway itself ended a request."""

    BODY_TOO_SLOW = "body_too_slow"
    TIMEOUT = "timeout"
    CLIENT_LEFT = "client_left"


@lru_cache(KINDS_OF_DEADLINES_MAX)
def deadlines(
    limits: ClassConfig, streamed: bool, slow_after: float | None, first_token_after: float | None
) -> tuple[Deadline, ...]:
    """The deadlines of a request, the latest first; after the last two it is certain that it falls on a last level."""
    found: list[Deadline] = [(limits.target_seconds, BadEvent.OVER_TARGET), (limits.timeout_seconds, None)]
    if streamed:
        found.append((limits.first_token_target_seconds, Objective.FIRST_TOKEN))
    if slow_after is not None:
        found.append((slow_after, BadEvent.SLOW))
    if first_token_after is not None:
        found.append((first_token_after, BadEvent.SLOW_FIRST_TOKEN))
    return tuple(sorted(found, key=_when, reverse=True))


def _when(deadline: Deadline) -> float:
    return deadline[0]


class Exchange:
    """What the gateway knows of one request, from its arrival to its last byte."""

    __slots__ = (
        "_clock",
        "_counters",
        "_deadlines",
        "_first_token_open",
        "_kept",
        "_limits",
        "_missed",
        "_pending",
        "_slow_open",
        "_task",
        "_timer",
        "arm",
        "arrived",
        "cell",
        "client_erred",
        "epoch",
        "events",
        "first_content_at",
        "key",
        "release",
        "request_id",
        "sending",
        "started",
        "status",
        "stopped",
        "streamed",
        "synthetic",
        "task",
        "tier",
        "usage",
        "whole",
    )

    def __init__(
        self, task: TaskConfig, request_id: str, synthetic: bool, counters: Counters, clock: Callable[[], float]
    ) -> None:
        self.task = task
        self.request_id = request_id
        self.synthetic = synthetic
        self.tier = ""
        self.arm: Arm | None = None
        self.release = ""
        self.epoch = -1
        self.key: CellKey | None = None
        self.cell: Cell | None = None
        """None for synthetic traffic and before assignment."""
        self.arrived = clock()
        self.streamed = False
        self.started = False
        """The client was sent the first bytes of its answer."""
        self.sending = False
        """The gateway waits for the client to take what it was sent."""
        self.status = 0
        self.first_content_at: float | None = None
        self.usage: Usage | None = None
        self.whole = False
        """The engine's answer came with status 200 and to its end, whatever it says."""
        self.client_erred = False
        """The engine's answer is that the request is wrong."""
        self.events: list[BadEvent] = []
        self.stopped: Stop | None = None
        self._counters = counters
        self._clock = clock
        self._deadlines: tuple[Deadline, ...] = ()
        self._kept: ObjectiveCounts | None = None
        """None: nothing is promised, as to synthetic traffic."""
        self._limits: ClassConfig | None = None
        self._missed: tuple[Objective, ...] = ()
        self._slow_open = False
        """The level of SLOW is still to be counted."""
        self._first_token_open = False
        self._pending = 0
        """How many of the deadlines have not passed."""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = asyncio.current_task()

    def await_body(self, timeout_seconds: float) -> None:
        """From here on the rest of the request must come in time."""
        self._timer = asyncio.get_running_loop().call_later(timeout_seconds, self.stop, Stop.BODY_TOO_SLOW)

    def body_came(self) -> None:
        """The request is whole; its latency is measured from here."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.arrived = self._clock()

    def client_left(self) -> None:
        self.stop(Stop.CLIENT_LEFT)

    def assign(self, arm: Arm, release: str, key: CellKey, limits: ClassConfig, levels: Levels) -> None:
        """From here on the request belongs to an arm, and whatever happens to it is counted there."""
        self.arm, self.release, self.key, self.epoch = arm, release, key, key[2]
        slow_after = first_token_after = None
        if not self.synthetic:
            cell = self.cell = self._counters.cell(key, levels)
            cell.assigned += 1
            cell.streamed += self.streamed
            self._owe(key[0])
            slow_after = cell.last_cut(BadEvent.SLOW)
            first_token_after = cell.last_cut(BadEvent.SLOW_FIRST_TOKEN) if self.streamed else None
            self._slow_open = slow_after is not None
            self._first_token_open = first_token_after is not None
        self._limits = limits
        self._deadlines = deadlines(limits, self.streamed, slow_after, first_token_after)
        self._pending = len(self._deadlines)
        self._set_timer()

    def mark(self, event: BadEvent) -> None:
        """A bad event is certain. Counted once, however often it is marked."""
        if event in self.events:
            return
        self.events.append(event)
        if self.cell is not None:
            self.cell.bad[event] = self.cell.bad.get(event, 0) + 1
        if self._kept is not None:
            self._kept.events[event] += 1
            if event in UNAVAILABLE:
                self._unavailable()
            elif event is BadEvent.OVER_TARGET:
                self._miss(Objective.LATENCY)

    def turned_away(self) -> None:
        """The door refuses it for no fault of its own, before an arm was assigned."""
        if not self.synthetic:
            self._owe(self.tier or self.task.tier)
            self._unavailable()

    def left_in_line(self, limits: ClassConfig) -> None:
        """The client left before an arm was assigned: past a deadline that is a miss like any other."""
        waited = self._clock() - self.arrived
        over = waited > limits.target_seconds
        no_token = self.streamed and waited > limits.first_token_target_seconds
        if self.synthetic or not (over or no_token):
            return
        self._owe(self.tier or self.task.tier)
        if over:
            self._miss(Objective.LATENCY)
        if no_token:
            self._miss(Objective.FIRST_TOKEN)

    def _owe(self, tier: str) -> None:
        """From here on what is promised to a request holds for this one."""
        kept = self._kept = self._counters.objectives[tier, self.task.task_class]
        kept.requests += 1
        kept.streams += self.streamed

    def _unavailable(self) -> None:
        self._miss(Objective.AVAILABILITY)
        self._miss(Objective.LATENCY)
        if self.streamed:
            self._miss(Objective.TOKEN_INTERVAL)
            if self.first_content_at is None:
                self._miss(Objective.FIRST_TOKEN)

    def _miss(self, objective: Objective) -> None:
        """A miss is certain. Counted once, and once as goodput."""
        kept, missed = self._kept, self._missed
        if kept is None or objective in missed:
            return
        kept.misses[objective] += 1
        if not missed:
            kept.misses[Objective.GOODPUT] += 1
        self._missed = (*missed, objective)

    def content_came(self) -> None:
        """The first content arrived from the engine."""
        self.first_content_at = now = self._clock()
        if self._first_token_open and self.cell is not None:
            self._first_token_open = False
            self.cell.count_level(BadEvent.SLOW_FIRST_TOKEN, now - self.arrived)

    def stop(self, why: Stop) -> None:
        """Ends the request from outside: its task is cancelled, and finds the reason in ``stopped``."""
        if self.stopped is None and self._task is not None:
            self.stopped = why
            self._task.cancel()

    def stop_was_ours(self) -> bool:
        """Called where a cancellation arrives: True if ``stop`` caused it, and then it is taken back."""
        if self.stopped is None or self._task is None:
            return False
        self._task.uncancel()
        return True

    def finish(self) -> None:
        """The request is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._task = None
        if self.key is None:
            return
        now = self._clock()
        self._pass_deadlines(now)
        if self.cell is not None:
            self.cell.finished += 1
            if self.stopped is not Stop.CLIENT_LEFT and not self.client_erred:
                if self.whole and BadEvent.FAILED not in self.events:
                    self._measure(self.cell, now)
                else:
                    self._never_came(self.cell)

    def _measure(self, cell: Cell, now: float) -> None:
        """The answer came: what it showed is recorded, and where no level of it was counted yet, it is now."""
        first = self.first_content_at if self.streamed else None
        tokens = None if self.usage is None else self.usage.completion_tokens
        seconds = now - self.arrived
        cell.observe(BadEvent.SLOW, seconds)
        if self._slow_open:
            cell.count_level(BadEvent.SLOW, seconds)
        if first is not None:
            cell.observe(BadEvent.SLOW_FIRST_TOKEN, first - self.arrived)
            if tokens is not None and tokens >= TOKENS_WITH_INTERVALS_MIN:
                interval = (now - first) / (tokens - 1)
                cell.observe(BadEvent.SLOW_TOKENS, interval)
                cell.count_level(BadEvent.SLOW_TOKENS, interval)
                if self._limits is not None and interval > self._limits.token_interval_target_seconds:
                    self._miss(Objective.TOKEN_INTERVAL)
        if tokens is not None:
            cell.observe(BadEvent.OUTPUT_LENGTH, tokens)
            cell.count_level(BadEvent.OUTPUT_LENGTH, tokens)

    def _never_came(self, cell: Cell) -> None:
        if self._slow_open:
            cell.count_last_level(BadEvent.SLOW)
        if self._first_token_open:
            cell.count_last_level(BadEvent.SLOW_FIRST_TOKEN)

    def _set_timer(self) -> None:
        delay = self.arrived + self._deadlines[self._pending - 1][0] - self._clock()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, delay), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._pass_deadlines(self._clock()):
            # A client that does not read its answer is no failure of the engine.
            self.stop(Stop.CLIENT_LEFT if self.sending else Stop.TIMEOUT)
        elif self._pending:
            self._set_timer()

    def _pass_deadlines(self, now: float) -> bool:
        """Counts what is certain by ``now``; True if the time to give up has come.

        A value at a cut lies below it, so a deadline has passed only when its time lies behind.
        """
        seconds = now - self.arrived
        while self._pending and self._deadlines[self._pending - 1][0] < seconds:
            self._pending -= 1
            deadline_seconds, event = self._deadlines[self._pending]
            if event is None:
                return True
            if event is BadEvent.OVER_TARGET:
                self.mark(event)
            elif event is Objective.FIRST_TOKEN:
                first = self.first_content_at
                late = first is None or first - self.arrived > deadline_seconds
                if late and not self.client_erred:
                    self._miss(Objective.FIRST_TOKEN)
            elif event is BadEvent.SLOW:
                self._slow_open = self._closed(event, self._slow_open)
            elif event is BadEvent.SLOW_FIRST_TOKEN:
                self._first_token_open = self._closed(event, self._first_token_open)
        return False

    def _closed(self, event: BadEvent, is_open: bool) -> bool:
        """Counts the last level, unless one was counted. False: none is to be counted any more."""
        if is_open and self.cell is not None:
            self.cell.count_last_level(event)
        return False
