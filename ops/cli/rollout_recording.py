"""A whole rollout to look back at: from the controller, or from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ops.adapters.rollout_file import Recording, RolloutFileError, read_recording, write_recording
from ops.cli.output import CommandError, fail_usage, progress
from ops.cli.rollout_access import ask, find_controller
from ops.cli.rollout_choosing import named_or_last
from ops.rollout.recorded import RecordedLook
from ops.store.rollouts import JournalLine

if TYPE_CHECKING:
    from ops.adapters.controller_client import ControllerClient

_FILE_ENDINGS = (".json", ".gz")


def recording_of(rollout: str | None, tier: str, run_dir: Path, url: str | None) -> Recording:
    """``rollout`` is an id or a file; by default it is the tier's newest. Raises CommandError."""
    if rollout is not None and _is_file(rollout):
        try:
            return read_recording(Path(rollout))
        except RolloutFileError as e:
            fail_usage(str(e))
    return ask(find_controller(run_dir, url), lambda client: whole_recording(client, rollout, tier))


def _is_file(text: str) -> bool:
    return os.sep in text or text.endswith(_FILE_ENDINGS) or Path(text).is_file()


async def whole_recording(client: ControllerClient, rollout_id: str | None, tier: str) -> Recording:
    """The record first: of a running rollout there may then be younger looks and lines, never fewer."""
    rollout = await named_or_last(client, rollout_id, tier)
    return Recording(rollout, tuple(await whole_journal(client, rollout.id)), await _looks(client, rollout.id))


async def whole_journal(client: ControllerClient, rollout_id: str) -> list[JournalLine]:
    lines: list[JournalLine] = []
    while page := await client.journal(rollout_id, lines[-1].seq if lines else 0):
        lines += page
    return lines


async def _looks(client: ControllerClient, rollout_id: str) -> tuple[RecordedLook, ...]:
    looks: list[RecordedLook] = []
    while page := await client.recorded(rollout_id, looks[-1].number if looks else 0):
        looks += page
    return tuple(looks)


def export_to(recording: Recording, path: Path) -> None:
    """Raises CommandError."""
    try:
        size = write_recording(recording, path)
    except OSError as e:
        raise CommandError(f"{path} cannot be written: {e.strerror}") from e
    looks, lines = len(recording.looks), len(recording.journal)
    progress(f"wrote {path}: rollout {recording.rollout.id}, {looks} looks, {lines} lines, {size:,} bytes")
