"""Brings rules and configuration to where they run: checked first, written, loaded, looked at; or all as it was before.

The order is what makes it safe: every server is asked and every file checked before the first one is written, and a
server that does not load what was written gets its former files back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.adapters import installed_files
from ops.adapters.alert_destinations import Destination
from ops.adapters.installed_files import Change, InstallError
from ops.adapters.monitoring_http import MonitoringError
from ops.adapters.rule_checks import Checked

LOADED_SECONDS_MAX = 5.0
"""Both servers answer a reload only once they have loaded."""
LOOK_SECONDS = 0.2
LACKING_SHOWN_MAX = 5


class InvalidFiles(Exception):
    """promtool or amtool refuse what was rendered. Nothing was written."""


class NotLoaded(Exception):
    """The server did not take what was written. The former files are back, unless the message says otherwise."""


@dataclass(frozen=True)
class Installed:
    changes: tuple[Change, ...]
    loaded: tuple[str, ...]
    """What the servers lacked before, in words."""


async def plan(destinations: Sequence[Destination], *, replace: bool) -> Installed:
    """What ``install`` would do; everything is checked that can be without writing.

    Raises MonitoringError, ChecksUnavailable, InvalidFiles, InstallError.
    """
    for one in destinations:
        await one.ready()
    for one in destinations:
        check_valid(one.check())
    changed = [change for one in destinations for change in _changes(one)]
    installed_files.check_writable(changed, replace=replace)
    lacking = [words for one in destinations for words in await one.lacking()]
    return Installed(tuple(changed), tuple(lacking))


async def install(destinations: Sequence[Destination], *, replace: bool) -> Installed:
    """Raises what ``plan`` does, and NotLoaded. A second run changes nothing, and loads nothing anew."""
    planned = await plan(destinations, replace=replace)
    if not planned.changes and not planned.loaded:
        return planned
    installed_files.apply(planned.changes)
    try:
        for one in destinations:
            await one.reload()
        for one in destinations:
            await _loaded(one)
    except BaseException as e:
        said = await _back(destinations, planned.changes)
        if isinstance(e, MonitoringError | NotLoaded):
            raise NotLoaded(f"{e}\n{said}") from e
        raise
    return planned


def check_valid(checked: Checked) -> None:
    """Raises InvalidFiles."""
    if not checked.passed:
        raise InvalidFiles(f"not so: {checked.what}\n{checked.said}")


def _changes(destination: Destination) -> list[Change]:
    return installed_files.changes(destination.wanted(), destination.leftovers())


async def _loaded(destination: Destination) -> None:
    """Raises NotLoaded, MonitoringError."""
    end = time.monotonic() + LOADED_SECONDS_MAX
    while lacking := await destination.lacking():
        if time.monotonic() > end:
            shown = "\n".join(lacking[:LACKING_SHOWN_MAX])
            folders = ", ".join(sorted({str(path.parent) for path in destination.wanted()}))
            raise NotLoaded(f"the server does not have what was written to {folders}: does it read it?\n{shown}")
        await asyncio.sleep(LOOK_SECONDS)


async def _back(destinations: Sequence[Destination], changed: Sequence[Change]) -> str:
    """Puts the former files back, and has them loaded, as far as that can be done; in words, what came of it."""
    try:
        installed_files.undo(changed)
    except InstallError as e:
        return f"the former files are not all back: {e}"
    for one in destinations:
        try:
            await one.reload()
        except MonitoringError as e:
            return f"the former files are back, and not loaded: {e}"
    return "the former files are back and loaded"


def secrets_lacking(folder: Path, files: Sequence[str]) -> list[str]:
    """In words, which of the secrets' files are not there, or empty. What they hold is not looked at."""
    found = []
    for name in files:
        try:
            size = (folder / name).stat().st_size
        except OSError as e:
            found.append(f"{folder / name} cannot be used: {e.strerror}")
            continue
        if not size:
            found.append(f"{folder / name} is empty")
    return found
