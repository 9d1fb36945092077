"""Silences: what they match, when a maintenance window is, and what no silence may do.

Times are arguments. A silence hides from people what goes on, so each ends by itself, says who wanted it and why,
matches something, and never hides the Watchdog.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ops.alerting.inhibiting import WATCHDOG
from ops.spec.receiving import MaintenanceWindow, WeeklyWindow

MATCHER_PATTERN = re.compile(r'^\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*"?([^"]*)"?\s*$')
DURATION_PATTERN = re.compile(r"^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class SilenceError(ValueError):
    """A silence that cannot be meant, or must not be made."""


@dataclass(frozen=True, order=True)
class Matcher:
    label: str
    value: str
    is_pattern: bool = False
    is_equal: bool = True

    def __str__(self) -> str:
        sign = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
        return f'{self.label}{sign[self.is_pattern, self.is_equal]}"{self.value}"'


@dataclass(frozen=True)
class Silence:
    matchers: tuple[Matcher, ...]
    begin: datetime
    end: datetime
    by: str
    comment: str
    id: str = ""
    """Alertmanager's; empty before it is made."""
    state: str = ""
    """``pending``, ``active`` or ``expired``."""

    def same_as(self, other: Silence) -> bool:
        """Silences the same alerts at the same time, whoever asked for it."""
        mine, others = (sorted(one.matchers) for one in (self, other))
        return mine == others and self.end == other.end and self.comment == other.comment


NEVER = Matcher("alertname", WATCHDOG, is_equal=False)
"""Every silence has it: what tells that alerting works at all is not silenced."""


def parse_matcher(text: str) -> Matcher:
    """``tier=production``, ``alertname=~"Slow.*"``, ``tier!=edge``. Raises SilenceError."""
    found = MATCHER_PATTERN.match(text)
    if not found:
        raise SilenceError(f"{text!r} is no matcher: write label=value, label!=value, label=~pattern or label!~pattern")
    label, sign, value = found.groups()
    if "~" in sign:
        try:
            re.compile(value)
        except re.error as e:
            raise SilenceError(f"{text!r} has no valid pattern: {e}") from e
    return Matcher(label, value, is_pattern="~" in sign, is_equal="!" not in sign)


def parse_duration(text: str) -> timedelta:
    """``2h``, ``1h30m``, ``45m``. Raises SilenceError."""
    found = DURATION_PATTERN.match(text)
    numbers = [int(part or 0) for part in found.groups()] if found and len(text) <= len("9999d99h99m99s") else []
    if not any(numbers):
        raise SilenceError(f"{text!r} is no time: write 2h, 1h30m or 45m")
    days, hours, minutes, seconds = numbers
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def for_a_while(matchers: Iterable[Matcher], length: timedelta, now: datetime, by: str, comment: str) -> Silence:
    """From now on. ``now`` in UTC. Raises SilenceError if it would match every alert."""
    chosen = tuple(matchers)
    if not any(one.is_equal and one.value and re.fullmatch(r"[.*+?^$]*", one.value) is None for one in chosen):
        raise SilenceError("a silence needs a matcher such as tier=production: one of everything hides every incident")
    return Silence((*chosen, NEVER), now, now + length, by, comment)


def for_window(window: MaintenanceWindow, now: datetime, by: str, longest: timedelta) -> Silence:
    """The window's time that is going on or comes next. Raises SilenceError if it is over, or too long."""
    begin, end = occurrence(window, now)
    if end - begin > longest:
        hours = longest / timedelta(hours=1)
        raise SilenceError(f"maintenance window {window.name} is longer than a silence may be: {hours:g} h")
    matchers = [Matcher("severity", "|".join(window.severities), is_pattern=True)]
    if window.tiers:
        matchers.append(Matcher("tier", "|".join(window.tiers), is_pattern=True))
    return Silence((*matchers, NEVER), max(begin, now), end, by, f"maintenance window {window.name}: {window.reason}")


def occurrence(window: MaintenanceWindow, now: datetime) -> tuple[datetime, datetime]:
    """Begin and end, in UTC, of the window's time that is going on or comes next. Raises SilenceError."""
    zone = ZoneInfo(window.time_zone)
    if window.once is not None:
        begin, end = (
            datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
            for text in (window.once.begin, window.once.end)
        )
        if end <= now:
            raise SilenceError(f"maintenance window {window.name} was over at {end:%Y-%m-%d %H:%M} UTC")
        return begin, end
    if window.weekly is None:
        raise SilenceError(f"maintenance window {window.name} has no time")
    today = now.astimezone(zone).date()
    # From yesterday's, which may end today, to that of the same day next week.
    for days in range(-1, len(DAYS) + 1):
        day = today + timedelta(days=days)
        if DAYS[day.weekday()] in window.weekly.days:
            begin, end = _on(window.weekly, day, zone)
            if end > now and end > begin:
                return begin, end
    raise SilenceError(f"maintenance window {window.name} has no time that comes")


def _on(weekly: WeeklyWindow, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first, last = time.fromisoformat(weekly.begin), time.fromisoformat(weekly.end)
    end_day = day if last > first else day + timedelta(days=1)
    begin = datetime.combine(day, first, zone).astimezone(UTC)
    return begin, datetime.combine(end_day, last, zone).astimezone(UTC)
