"""When a maintenance window is, and which silences must not be made: pure, at any clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops.alerting.silencing import (
    NEVER,
    Matcher,
    SilenceError,
    for_a_while,
    for_window,
    occurrence,
    parse_duration,
    parse_matcher,
)
from ops.spec.receiving import MaintenanceWindow, SingleWindow, WeeklyWindow

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday


def _window(**changed: object) -> MaintenanceWindow:
    values: dict[str, object] = {
        "name": "upkeep",
        "time_zone": "America/New_York",
        "weekly": WeeklyWindow(days=("tuesday",), begin="04:00", end="05:00"),
        "severities": ("warning", "info"),
        "reason": "Updates",
        **changed,
    }
    return MaintenanceWindow.model_validate(values)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "begin", "end"),
    [
        ("2026-11-25T12:00", "2026-12-01T09:00", "2026-12-01T10:00"),  # winter: five hours behind UTC
        ("2026-12-01T09:30", "2026-12-01T09:00", "2026-12-01T10:00"),  # it is going on
        ("2026-12-01T10:00", "2026-12-08T09:00", "2026-12-08T10:00"),  # it has just ended
        ("2026-07-06T12:00", "2026-07-07T08:00", "2026-07-07T09:00"),  # summer: four hours
        ("2026-10-27T12:00", "2026-11-03T09:00", "2026-11-03T10:00"),  # the clocks change in between
    ],
)
def test_a_weekly_window_is_at_its_local_time(now: str, begin: str, end: str) -> None:
    assert occurrence(_window(), _at(now)) == (_at(begin), _at(end))


def test_a_window_over_midnight_goes_on_the_next_day() -> None:
    late = _window(weekly=WeeklyWindow(days=("sunday",), begin="23:00", end="02:00"), time_zone="UTC")
    assert occurrence(late, _at("2026-11-30T01:00")) == (_at("2026-11-29T23:00"), _at("2026-11-30T02:00"))
    assert occurrence(late, _at("2026-11-30T02:00"))[0] == _at("2026-12-06T23:00")


def test_a_single_window_that_is_over_is_refused() -> None:
    once = _window(weekly=None, once=SingleWindow(begin="2026-11-25T06:00", end="2026-11-25T07:00"))
    assert occurrence(once, _at("2026-11-25T11:59")) == (_at("2026-11-25T11:00"), _at("2026-11-25T12:00"))
    with pytest.raises(SilenceError, match="was over at 2026-11-25 12:00 UTC"):
        occurrence(once, _at("2026-11-25T12:00"))


def test_a_windows_silence_names_its_severities_and_tiers_and_never_the_watchdog() -> None:
    silence = for_window(_window(tiers=("edge", "research")), NOW, "me", DAY)
    assert [str(one) for one in silence.matchers] == [
        'severity=~"warning|info"', 'tier=~"edge|research"', 'alertname!="Watchdog"'
    ]  # fmt: skip
    assert silence.comment == "maintenance window upkeep: Updates"


def test_a_window_that_goes_on_is_silenced_from_now_and_is_the_same_silence_later() -> None:
    now = _at("2026-12-01T09:30")
    first, second = (for_window(_window(), at, "me", DAY) for at in (now, now + timedelta(minutes=5)))
    assert (first.begin, first.end) == (now, _at("2026-12-01T10:00"))
    assert first.same_as(second)


def test_a_window_longer_than_a_silence_may_be_is_refused() -> None:
    with pytest.raises(SilenceError, match=r"longer than a silence may be: 0\.5 h"):
        for_window(_window(), NOW, "me", timedelta(minutes=30))


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ("tier=edge", Matcher("tier", "edge")),
        ('tier = "edge"', Matcher("tier", "edge")),
        ("alertname=~Slow.*", Matcher("alertname", "Slow.*", is_pattern=True)),
        ("tier!=edge", Matcher("tier", "edge", is_equal=False)),
        ('tier!~"a|b"', Matcher("tier", "a|b", is_pattern=True, is_equal=False)),
        ("tier=", Matcher("tier", "")),
    ],
)
def test_matchers_are_read_as_alertmanager_writes_them(text: str, matcher: Matcher) -> None:
    assert parse_matcher(text) == matcher


@pytest.mark.parametrize("text", ["tier", "=edge", "ti-er=edge", "tier=~(", "", 'tier="a"b"'])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(SilenceError):
        parse_matcher(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [("2h", timedelta(hours=2)), ("1h30m", timedelta(minutes=90)), ("1d", DAY), ("45s", timedelta(seconds=45))],
)
def test_times_are_read(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "2", "h", "0m", "-2h", "2h ", "two hours", "30m1h", "9" * 40 + "d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SilenceError):
        parse_duration(text)


@pytest.mark.parametrize("matchers", [[], ["tier=~.*"], ["tier=~.+"], ["tier!=edge"], ["tier="]])
def test_a_silence_of_everything_is_refused(matchers: list[str]) -> None:
    with pytest.raises(SilenceError, match="hides every incident"):
        for_a_while(map(parse_matcher, matchers), DAY, NOW, "me", "why")


def test_a_silence_for_a_while_never_hides_the_watchdog() -> None:
    silence = for_a_while([parse_matcher("severity=~.*|critical")], DAY, NOW, "me", "why")
    assert NEVER in silence.matchers
    assert (silence.begin, silence.end) == (NOW, NOW + DAY)
