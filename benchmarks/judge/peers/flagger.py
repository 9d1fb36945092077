"""Flagger: one scalar per metric and tick against a threshold; a breach, an error or no data is one more failed check.

Failed checks add up over the whole rollout and are never forgotten; the rollback comes on the tick *after* they have
reached ``threshold``. A tick without any moves the weight one step on, to the maximum, and promotes after that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan

from benchmarks.judge.peers.answer import Answer, Verdict

INTERVAL_SECONDS_MIN = 10.0


@dataclass(frozen=True)
class Check:
    name: str
    measured: Callable[[int, float, float], float | None]
    """Given the weight's place in the list and the window's start and end; None: no answer."""
    most: float


@dataclass(frozen=True)
class Settings:
    interval_seconds: float
    threshold: int


def analysed(checks: Sequence[Check], settings: Settings, weights: int, ticks_max: int) -> Answer:
    """``weights``: how many steps of weight come before the promotion. ``ticks_max`` bounds the whole."""
    interval = max(settings.interval_seconds, INTERVAL_SECONDS_MIN)
    failed, place, blamed = 0, 0, ""
    for tick in range(1, ticks_max + 1):
        now = tick * interval
        if failed >= settings.threshold:
            return Answer(Verdict.ROLLED_BACK, now, (blamed,))
        breached = next((check.name for check in checks if _breached(check, place, now - interval, now)), None)
        if breached:
            failed, blamed = failed + 1, breached
        elif place == weights - 1:
            return Answer(Verdict.PROMOTED, now)
        else:
            place += 1
    return Answer(Verdict.PAUSED, ticks_max * interval)


def _breached(check: Check, place: int, start: float, end: float) -> bool:
    value = check.measured(place, start, end)
    return value is None or isnan(value) or value > check.most
