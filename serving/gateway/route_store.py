"""What a worker keeps on disk: per tier the stable route and how far its fence has moved, nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from serving.gateway.routing import StableRecord

_SUFFIX = ".route.json"


class StateError(Exception):
    """The state folder cannot be used."""


def load(folder: Path) -> dict[str, StableRecord]:
    """The records by tier. Raises StateError: without its fence a worker could follow a controller long replaced."""
    found = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=StableRecord)
        except (OSError, msgspec.DecodeError) as e:
            raise StateError(f"{path} cannot be read ({e}); delete it, and let the controller push again") from e
        found[record.tier] = record
    return found


def save(folder: Path, record: StableRecord) -> None:
    """Durable before it returns: a crash at any instant leaves the old record or the new one. Raises OSError."""
    path = folder / f"{record.tier}{_SUFFIX}"
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(record))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
