"""Alertmanager by its API v2: its configuration, what it holds, its silences."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote

import msgspec

from ops.adapters.monitoring_http import Rubbish, Server, TooOld, release
from ops.alerting.silencing import Matcher, Silence

VERSION_MIN = (0, 25)
"""The first that reads PagerDuty's key and a mail's password from files."""


class _Version(msgspec.Struct):
    version: str


class _Config(msgspec.Struct):
    original: str


class _Status(msgspec.Struct, rename="camel"):
    config: _Config
    version_info: _Version


class _AlertState(msgspec.Struct, frozen=True, rename="camel"):
    state: str
    silenced_by: list[str]
    inhibited_by: list[str]


class _Named(msgspec.Struct, frozen=True):
    name: str


class HeldAlert(msgspec.Struct, frozen=True, rename="camel"):
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    status: _AlertState
    receivers: list[_Named]
    fingerprint: str = ""


class _Matcher(msgspec.Struct, rename="camel"):
    name: str
    value: str
    is_regex: bool
    is_equal: bool = True


class _SilenceState(msgspec.Struct):
    state: str


class _Silence(msgspec.Struct, rename="camel"):
    id: str
    matchers: list[_Matcher]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    status: _SilenceState


class _Made(msgspec.Struct, rename={"silence_id": "silenceID"}):
    silence_id: str


class AlertmanagerApi:
    """An Alertmanager by its address."""

    def __init__(self, url: str) -> None:
        self._server = Server("Alertmanager", url.rstrip("/"))

    async def check_ready(self) -> None:
        """Raises MonitoringError unless it answers and is new enough."""
        version = (await self._status()).version_info.version
        if not release(version):
            raise Rubbish(f"{self._where} has no version that can be read")
        if release(version) < VERSION_MIN:
            least = ".".join(map(str, VERSION_MIN))
            raise TooOld(f"{self._where} is {version[:40]}: {least} or newer is needed, which reads secrets from files")

    async def reload(self) -> None:
        """Raises MonitoringError; Alertmanager then keeps the configuration that it had."""
        await self._server.send("POST", "/-/reload")

    async def configuration(self) -> str:
        """What it has loaded, with defaults filled in and secrets hidden. Raises MonitoringError."""
        return (await self._status()).config.original

    async def alerts(self) -> tuple[HeldAlert, ...]:
        """Raises MonitoringError."""
        return tuple(await self._server.ask("/api/v2/alerts", list[HeldAlert]))

    async def silences(self) -> tuple[Silence, ...]:
        """Expired ones included, as long as it keeps them. Raises MonitoringError."""
        return tuple(map(_read, await self._server.ask("/api/v2/silences", list[_Silence])))

    async def silence(self, wanted: Silence) -> str:
        """Its id. Raises MonitoringError."""
        return (await self._server.tell("/api/v2/silences", _written(wanted), _Made)).silence_id

    async def expire(self, silence_id: str) -> None:
        """Ends it now. Raises MonitoringError, Refused if there is no such silence."""
        await self._server.send("DELETE", f"/api/v2/silence/{quote(silence_id, safe='')}")

    async def _status(self) -> _Status:
        return await self._server.ask("/api/v2/status", _Status)

    @property
    def _where(self) -> str:
        return f"{self._server.name} at {self._server.url}"


def _read(found: _Silence) -> Silence:
    return Silence(
        id=found.id,
        matchers=tuple(Matcher(one.name, one.value, one.is_regex, one.is_equal) for one in found.matchers),
        begin=found.starts_at,
        end=found.ends_at,
        by=found.created_by,
        comment=found.comment,
        state=found.status.state,
    )


def _written(wanted: Silence) -> dict[str, object]:
    return {
        "matchers": _matchers(wanted.matchers),
        "startsAt": wanted.begin.isoformat(),
        "endsAt": wanted.end.isoformat(),
        "createdBy": wanted.by,
        "comment": wanted.comment,
    }


def _matchers(matchers: Iterable[Matcher]) -> list[dict[str, object]]:
    return [
        {"name": one.label, "value": one.value, "isRegex": one.is_pattern, "isEqual": one.is_equal} for one in matchers
    ]
