"""A whole rollout as one file: its record with the frozen plan, its journal, and each look with what it was taken of.

JSON of a versioned schema, compressed if the name ends in ``.gz``. It holds counters, names and digests: no prompt, no
answer, no key.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ops.rollout.record import Rollout
from ops.rollout.recorded import RecordedLook
from ops.store.rollouts import JournalLine

SCHEMA = "gratefulgpt.rollout-record/1"
FILE_BYTES_MAX = 2 * 1024**3
"""Uncompressed; some hundred thousand looks."""


class RolloutFileError(Exception):
    """The file cannot be read, or is none of ours; the message says which."""


@dataclass(frozen=True)
class Recording:
    rollout: Rollout
    journal: tuple[JournalLine, ...]
    looks: tuple[RecordedLook, ...]


@dataclass(frozen=True)
class _Schema:
    schema: str


def write_recording(recording: Recording, path: Path) -> int:
    """Bytes written. Raises OSError."""
    fields = {"schema": SCHEMA, **{name: getattr(recording, name) for name in ("rollout", "journal", "looks")}}
    data = msgspec.json.encode(fields)
    # Without the time of writing: the same rollout gives the same file.
    data = gzip.compress(data, mtime=0) if path.suffix == ".gz" else msgspec.json.format(data, indent=1)
    path.write_bytes(data)
    return len(data)


def read_recording(path: Path) -> Recording:
    """Raises RolloutFileError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else "it is not whole, or not compressed by gzip"
        raise RolloutFileError(f"{path} cannot be read: {reason}") from e
    if len(data) > FILE_BYTES_MAX:
        raise RolloutFileError(f"{path} is larger than the {FILE_BYTES_MAX} bytes that are read")
    try:
        schema = msgspec.json.decode(data, type=_Schema).schema
        if schema != SCHEMA:
            raise RolloutFileError(f"{path} has the schema {schema}; this version reads {SCHEMA}")
        return msgspec.json.decode(data, type=Recording)
    except msgspec.DecodeError as e:
        raise RolloutFileError(f"{path} is no exported rollout: {e}") from e
