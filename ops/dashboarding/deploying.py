"""What putting dashboards into a Grafana would change, decided from what is there. Pure.

Only what carries our mark is ever changed. Grafana may add keys of its own to what it keeps, so a dashboard is as it
should be when it has all that we wrote.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ops.dashboarding.rendering import MARK_TAG

Content = Mapping[str, Any]
"""A dashboard as JSON."""
GRAFANAS_OWN = frozenset({"id", "version"})
"""Of a dashboard: numbers that Grafana gives."""


@dataclass(frozen=True)
class Found:
    """A dashboard that is in Grafana."""

    content: Content
    folder_uid: str
    version: int
    provisioned: bool
    """From a file: its API refuses to change it."""

    @property
    def ours(self) -> bool:
        return MARK_TAG in self.content.get("tags", ())


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Change:
    action: Action
    uid: str
    title: str
    content: Content | None
    """What it will be; None where it will be gone."""
    before: Found | None
    difference: str
    """A unified diff."""


class Obstacle(ValueError):
    """What is there must not be touched. Nothing was changed."""


def changes(
    wanted: Iterable[Content], found: Mapping[str, Found], leftovers: Iterable[Found], folder_uid: str
) -> list[Change]:
    """What is to be done. ``found`` is by uid; ``leftovers`` are ours and no longer wanted. Raises Obstacle."""
    made: list[Change] = []
    obstacles: list[str] = []
    for content in wanted:
        uid, before = content["uid"], found.get(content["uid"])
        if before is None:
            made.append(Change(Action.CREATE, uid, content["title"], content, None, _difference(uid, {}, content)))
        elif not before.ours:
            obstacles.append(f"{uid} ({before.content.get('title', 'without a title')}) was not made by us")
        elif before.folder_uid != folder_uid or not covers(before.content, content):
            difference = _difference(uid, _projected(before.content, content), content)
            if before.folder_uid != folder_uid:
                difference += f"folder {before.folder_uid or '(none)'} -> {folder_uid}\n"
            made.append(Change(Action.UPDATE, uid, content["title"], content, before, difference))
            obstacles += _provisioned(before, uid)
    for old in leftovers:
        uid = str(old.content["uid"])
        made.append(Change(Action.DELETE, uid, str(old.content["title"]), None, old, f"{uid} is no longer wanted\n"))
        obstacles += _provisioned(old, uid)
    if obstacles:
        raise Obstacle("nothing was changed: " + "; ".join(obstacles))
    return made


def _provisioned(before: Found, uid: str) -> list[str]:
    return [f"{uid} comes from a file of Grafana's provisioning folder: change it there"] if before.provisioned else []


def covers(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; more may be."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            key in GRAFANAS_OWN or (key in found and covers(found[key], value)) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(covers, found, wanted))
    return bool(found == wanted)


def _projected(found: Any, wanted: Any) -> Any:
    """Of what is there, what we have a say in."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return {key: _projected(found[key], wanted[key]) for key in wanted if key in found}
    if isinstance(wanted, list) and isinstance(found, list):
        return [_projected(*pair) for pair in zip(found, wanted, strict=False)] + found[len(wanted) :]
    return found


def _difference(uid: str, before: Content, after: Content) -> str:
    return "".join(difflib.unified_diff(_lines(before), _lines(after), f"{uid} (Grafana)", f"{uid} (spec)")) + "\n"


def _lines(content: Content) -> list[str]:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).splitlines(keepends=True)
