"""Whom to call when: alert categories and thresholds, and who is told of a rollout's transitions."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from ops.spec.base import ENTRIES_MAX, Amount, Name, Part, Percent

Names = Annotated[tuple[Name, ...], Field(max_length=ENTRIES_MAX)]


class Categories(Part):
    """Alerts by severity: critical pages, warning makes a ticket, info is kept."""

    critical: Names
    warning: Names
    info: Names


class PercentLevels(Part):
    warning: Percent | None = None
    critical: Percent | None = None


class DepthLevels(Part):
    warning: Amount | None = None
    critical: Amount | None = None


class Thresholds(Part):
    error_rate_percent: PercentLevels = PercentLevels()
    cpu_percent: PercentLevels = PercentLevels()
    memory_percent: PercentLevels = PercentLevels()
    queue_depth: DepthLevels = DepthLevels()


class Alerting(Part):
    categories: Categories
    thresholds: Thresholds


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, a broken IPv6 address
        valid = False
    if not valid or any(character.isspace() for character in url):
        raise PydanticCustomError("web_address", "no web address", {"expected": "an address http://... or https://..."})
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError(
            "web_address", "a user or password in an address", {"expected": "an address without user and password"}
        )
    return url


class Webhook(Part):
    name: Name
    url: Annotated[str, StringConstraints(max_length=2000), AfterValidator(_web_address), Field(repr=False)]
    """Gets each transition of a rollout as a POST. Often a secret: no message and no table shows more than its host."""


class Notifications(Part):
    webhooks: Annotated[tuple[Webhook, ...], Field(max_length=ENTRIES_MAX)] = ()
