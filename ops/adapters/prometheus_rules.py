"""Prometheus as the one that evaluates rules: which it has loaded, and whether it can load others."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ops.adapters.monitoring_http import Refused, Rubbish, Server, TooOld, release
from ops.alerting.loading import LoadedRule

T = TypeVar("T")

VERSION_MIN = (2, 42)
"""The first that knows ``keep_firing_for``; an older one refuses the whole file."""


class _Build(msgspec.Struct):
    version: str


class _Rule(msgspec.Struct, rename="camel"):
    name: str
    query: str
    type: str
    duration: float = 0
    keep_firing_for: float = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Group(msgspec.Struct):
    name: str
    file: str
    interval: float
    rules: list[_Rule]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Envelope(msgspec.Struct):
    status: str
    data: msgspec.Raw


class RuleServer:
    """A Prometheus by its address."""

    def __init__(self, url: str) -> None:
        self._server = Server("Prometheus", url.rstrip("/"))

    async def check_ready(self, *, to_reload: bool) -> None:
        """Raises MonitoringError unless it answers, is new enough, and can be told to reload."""
        version = (await self._ask("/api/v1/status/buildinfo", _Build)).version
        if not release(version):
            raise Rubbish(f"{self._where} has no version that can be read")
        if release(version) < VERSION_MIN:
            least = ".".join(map(str, VERSION_MIN))
            raise TooOld(f"{self._where} is {version[:40]}: rules need {least} or newer, which knows keep_firing_for")
        if not to_reload:
            return
        flags = await self._ask("/api/v1/status/flags", dict[str, str])
        if flags.get("web.enable-lifecycle") != "true":
            raise Refused(f"{self._where} cannot be told to reload: start it with --web.enable-lifecycle")

    async def reload(self) -> None:
        """Raises MonitoringError; Prometheus then keeps the rules that it had."""
        await self._server.send("POST", "/-/reload")

    async def rules(self) -> tuple[LoadedRule, ...]:
        """All that it has loaded, in its order. Raises MonitoringError."""
        found = await self._ask("/api/v1/rules", _Groups)
        return tuple(
            LoadedRule(
                file=group.file,
                group=group.name,
                interval_seconds=group.interval,
                name=rule.name,
                expression=rule.query,
                for_seconds=rule.duration,
                keep_firing_seconds=rule.keep_firing_for,
                labels=rule.labels,
                annotations=rule.annotations,
            )
            for group in found.groups
            for rule in group.rules
        )

    @property
    def _where(self) -> str:
        return f"{self._server.name} at {self._server.url}"

    async def _ask(self, path: str, kind: type[T]) -> T:
        envelope = await self._server.ask(path, _Envelope)
        try:
            if envelope.status == "success":
                return msgspec.json.decode(envelope.data, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as e:
            raise Rubbish(f"{self._where} answered {path} with something else than its API's JSON") from e
        raise Rubbish(f"{self._where} answered {path} with the status {envelope.status[:40]!r}")
