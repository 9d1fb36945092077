"""Where alerts run: the rules' folder and its Prometheus, the configuration's file and its Alertmanager."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ops.adapters import rule_checks
from ops.adapters.alertmanager_api import AlertmanagerApi
from ops.adapters.prometheus_rules import RuleServer
from ops.adapters.rule_checks import Checked
from ops.alerting.files import installed_name
from ops.alerting.loading import configuration_not_loaded, rules_not_loaded


class Destination(Protocol):
    def wanted(self) -> Mapping[Path, str]:
        """The text of each file that should lie there."""

    def leftovers(self) -> list[Path]:
        """Files that may go where they are ours."""

    def check(self) -> Checked:
        """The server's own program on the files. Raises ChecksUnavailable."""

    async def ready(self) -> None:
        """Raises MonitoringError unless the server answers, is new enough, and can be told to reload."""

    async def reload(self) -> None:
        """Raises MonitoringError."""

    async def lacking(self) -> list[str]:
        """In words, what the server has not loaded of the files. Raises MonitoringError."""


@dataclass(frozen=True)
class RulesFolder:
    """A folder that a Prometheus reads rules from. Others may keep theirs in it."""

    folder: Path
    server: RuleServer
    service: str
    """Begins the names of our files."""
    texts: Mapping[str, str]
    """By family."""

    def wanted(self) -> Mapping[Path, str]:
        return {self.folder / name: text for name, text in self._files().items()}

    def leftovers(self) -> list[Path]:
        there = sorted(self.folder.glob(installed_name(self.service, "*"))) if self.folder.is_dir() else []
        return [path for path in there if path.name not in self._files()]

    def check(self) -> Checked:
        return rule_checks.check_texts(self._files())

    async def ready(self) -> None:
        await self.server.check_ready(to_reload=True)

    async def reload(self) -> None:
        await self.server.reload()

    async def lacking(self) -> list[str]:
        return rules_not_loaded(self._files(), await self.server.rules())

    def _files(self) -> dict[str, str]:
        return {installed_name(self.service, family): text for family, text in self.texts.items()}


@dataclass(frozen=True)
class ConfigurationFile:
    """The one file that an Alertmanager reads."""

    file: Path
    server: AlertmanagerApi
    text: str

    def wanted(self) -> Mapping[Path, str]:
        return {self.file: self.text}

    def leftovers(self) -> list[Path]:
        return []

    def check(self) -> Checked:
        return rule_checks.check_configuration_text(self.text)

    async def ready(self) -> None:
        await self.server.check_ready()

    async def reload(self) -> None:
        await self.server.reload()

    async def lacking(self) -> list[str]:
        return configuration_not_loaded(self.text, await self.server.configuration())
