"""Waking at a moment: to some 0.1 ms and without turning in circles until then, which an event loop's timers, of whole
milliseconds, cannot do. By Linux's timerfd; elsewhere by the loop's timers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from time import perf_counter

GRAIN_SECONDS = 0.0002
"""Not woken more often than this: what falls due within is done together."""
_ABSOLUTE, _NONBLOCK, _CLOEXEC = 1, os.O_NONBLOCK, getattr(os, "O_CLOEXEC", 0)
_MONOTONIC = 1
"""The clock of ``time.perf_counter`` on Linux."""
_COARSE_SECONDS = 0.001


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


class Alarm:
    """Of the running loop; for one waiter at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] | None = None
        self._timer = _Timer()
        self._fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(_MONOTONIC, _NONBLOCK | _CLOEXEC)
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._wake)

    async def until(self, moment: float) -> None:
        """``moment`` in seconds of ``time.perf_counter``; may return early where the clock is coarse: look again."""
        now = perf_counter()
        moment = max(moment, now + GRAIN_SECONDS)
        if self._fd < 0:
            await asyncio.sleep(max(moment - now, _COARSE_SECONDS))
            return
        value = self._timer.value
        value.seconds, value.nanoseconds = int(moment), int(moment % 1 * 1e9)
        self._woken = self._loop.create_future()
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(self._timer), None)
        await self._woken

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
            if self._woken is not None and not self._woken.done():
                self._woken.set_result(None)
