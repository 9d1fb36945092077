"""Who is told of alerts, by which way, how often, and when silence was agreed beforehand.

No secret stands in a spec: a receiver names the file that holds its own.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from ops.spec.base import ENTRIES_MAX, LABEL_PATTERN, Name, Part, Seconds, Text
from ops.spec.web import WebAddress

Severity = Literal["critical", "warning", "info"]
"""The values of ``ops.alerting.model.Severity``; a test keeps them equal."""
SecretFile = Annotated[str, StringConstraints(pattern=LABEL_PATTERN.replace("/", ""), max_length=100)]
"""A file's name in ``secrets_folder``."""
MailAddress = Annotated[str, StringConstraints(pattern=r"^[^@\s,<>]+@[^@\s,<>]+$", max_length=254)]
HostAndPort = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$", max_length=260)]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class PagerDuty(Part):
    name: Name
    routing_key_file: SecretFile
    """Holds the integration key of Events API v2."""


class Slack(Part):
    name: Name
    channel: Annotated[str, StringConstraints(pattern=r"^[#@]?[^\s#@]+$", max_length=80)]
    url_file: SecretFile
    """Holds the address of the incoming webhook."""


class Email(Part):
    name: Name
    to: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=ENTRIES_MAX)]
    sender: MailAddress
    smarthost: HostAndPort
    username: Text
    password_file: SecretFile


class AlertWebhook(Part):
    """Gets Alertmanager's own JSON as a POST. Its address, or the file that holds it: one of the two."""

    name: Name
    url: Annotated[WebAddress | None, Field(repr=False)] = None
    url_file: SecretFile | None = None
    """For an address that is itself a secret. Alertmanager reads such a file from 0.26 on."""
    token_file: SecretFile | None = None
    """Sent as ``Authorization: Bearer``."""


class Receivers(Part):
    """By kind. Names are unique over all kinds."""

    pagerduty: Annotated[tuple[PagerDuty, ...], Field(max_length=ENTRIES_MAX)] = ()
    slack: Annotated[tuple[Slack, ...], Field(max_length=ENTRIES_MAX)] = ()
    email: Annotated[tuple[Email, ...], Field(max_length=ENTRIES_MAX)] = ()
    webhook: Annotated[tuple[AlertWebhook, ...], Field(max_length=ENTRIES_MAX)] = ()


class Grouping(Part):
    """Alerts alike in the labels ``by`` are one notification."""

    by: Annotated[tuple[Literal["tier", "category", "instance", "alertname"], ...], Field(max_length=4)]
    wait_seconds: Seconds
    """After a group's first alert, for others of the same incident and for those that inhibit it."""
    interval_seconds: Seconds
    """Between notifications of a group that has changed."""
    repeat_seconds: Seconds
    """Until a group that has not changed is told again."""


class AlertRoute(Part):
    """Where alerts of a severity go. One with ``categories`` is tried before the one without."""

    severity: Severity
    categories: Annotated[tuple[Name, ...], Field(max_length=ENTRIES_MAX)] = ()
    receivers: Annotated[tuple[Name, ...], Field(max_length=ENTRIES_MAX)]
    """With none they are kept: shown, and told to nobody."""
    grouping: Grouping


class Heartbeat(Part):
    """Where the Watchdog goes, an alert that always fires. That the receiver hears nothing is the alarm."""

    receivers: Annotated[tuple[Name, ...], Field(max_length=ENTRIES_MAX)]
    repeat_seconds: Seconds


class Links(Part):
    """Base addresses of what alerts lead to."""

    grafana: WebAddress
    runbooks: WebAddress
    """``NAME.md`` is appended."""


class WeeklyWindow(Part):
    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)]
    """On which it begins."""
    begin: Annotated[str, AfterValidator(lambda text: _parsed(time, text, "HH:MM"))]
    end: Annotated[str, AfterValidator(lambda text: _parsed(time, text, "HH:MM"))]
    """At or before ``begin`` it is of the next day."""


class SingleWindow(Part):
    begin: Annotated[str, AfterValidator(lambda text: _parsed(datetime, text, "YYYY-MM-DDTHH:MM"))]
    end: Annotated[str, AfterValidator(lambda text: _parsed(datetime, text, "YYYY-MM-DDTHH:MM"))]


class MaintenanceWindow(Part):
    """A time for which alerts may be silenced: every week, or once. Local times of ``time_zone``."""

    name: Name
    time_zone: Annotated[str, StringConstraints(max_length=64), AfterValidator(lambda text: _time_zone(text))]
    weekly: WeeklyWindow | None = None
    once: SingleWindow | None = None
    tiers: Annotated[tuple[Name, ...], Field(max_length=ENTRIES_MAX)] = ()
    """Whose alerts are silenced; all where none is named."""
    severities: Annotated[tuple[Severity, ...], Field(min_length=1, max_length=3)]
    reason: Text


class Maintenance(Part):
    silence_seconds_max: Seconds
    """No silence is longer: one that is forgotten hides the next incident."""
    windows: Annotated[tuple[MaintenanceWindow, ...], Field(max_length=ENTRIES_MAX)] = ()


def _parsed(kind: type[time] | type[datetime], text: str, form: str) -> str:
    """Checked here and kept as written: a spec holds what JSON can."""
    try:
        valid = len(text) == len(form) and kind.fromisoformat(text).tzinfo is None
    except ValueError:
        valid = False
    if not valid:
        raise PydanticCustomError("local_time", "no local time", {"expected": f"a time like {form}"})
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:  # OSError: the name of a folder
        raise PydanticCustomError("time_zone", "no time zone", {"expected": "a name like Europe/Berlin"}) from e
    return name
