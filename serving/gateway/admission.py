"""The door: so many requests at once, so many that wait, and not for long. Over that, a clear refusal."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from serving.contract import LimitsConfig
from serving.gateway.errors import TOO_MANY, Problem


class Admission:
    """Slots of one worker. Every ``enter`` that returned needs its ``leave``."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_flight = 0

    @property
    def queued(self) -> int:
        return len(self._waiting)

    async def enter(self) -> None:
        """Takes a slot, waiting in line if need be. Raises Problem: 429 if the line is full, 503 if it is too slow."""
        if self.in_flight < self._limits.in_flight_max:
            self.in_flight += 1
            return
        if len(self._waiting) >= self._limits.queue_max:
            message = f"{self._limits.queue_max} requests wait already"
            raise Problem(TOO_MANY, "queue_full", message, limit="queue_max", retry_after_seconds=1)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._limits.queue_timeout_seconds):
                await turn
        except BaseException as e:
            if turn.done() and not turn.cancelled():
                self.leave()  # the slot was handed over at the very moment that the wait ended
            else:
                with suppress(ValueError):  # `leave` may have thrown the cancelled turn away already
                    self._waiting.remove(turn)
            if isinstance(e, TimeoutError):
                seconds = self._limits.queue_timeout_seconds
                message = f"no slot came free within {seconds:g} s"
                raise Problem(
                    503, "queue_timeout", message, limit="queue_timeout_seconds", retry_after_seconds=1
                ) from e
            raise

    def leave(self) -> None:
        """Gives the slot to the first who waits, or back."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.in_flight -= 1
