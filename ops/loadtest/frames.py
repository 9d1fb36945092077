"""What a driver's process and whoever started it say to each other: frames of msgpack, each after its length."""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from ops.loadtest.plan import Plan
from ops.loadtest.recording import Recorded

FRAME_BYTES_MAX = 256 << 20
_LENGTH = struct.Struct(">I")


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    plan: Plan
    share: float
    users: int


class Adjust(msgspec.Struct, frozen=True, tag="adjust"):
    share: float
    users: int


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    pass


Order = Begin | Adjust | Stop


class Cell(msgspec.Struct, frozen=True):
    """What was recorded of one kind of request in one phase since the last report."""

    phase: int
    kind: int
    recorded: Recorded


class Report(msgspec.Struct, frozen=True):
    """From the driver, twice a second and at the end."""

    at_unix_seconds: float
    elapsed_seconds: float
    cells: tuple[Cell, ...]
    in_flight: int
    waiting: int
    """Requests that wait for a connection."""
    connections: int
    cpu_seconds: float
    """Of the driver's process, since the last report."""
    memory_bytes: int
    final: bool = False
    error: str = ""
    """Why it ended early; of the final report."""


def write(stream: BinaryIO, message: Order | Report) -> None:
    data = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def read(stream: BinaryIO) -> bytes | None:
    """One frame's content; None at the end. Raises ValueError where the stream ends within a frame or is no such."""
    head = _exactly(stream, _LENGTH.size)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head) if len(head) == _LENGTH.size else (FRAME_BYTES_MAX + 1,)
    if length > FRAME_BYTES_MAX:
        raise ValueError("not a frame")
    data = _exactly(stream, length)
    if len(data) < length:
        raise ValueError("the stream ended within a frame")
    return data


def _exactly(stream: BinaryIO, length: int) -> bytes:
    """So many bytes, or what there is before the end; a stream without a buffer gives what it has at hand."""
    pieces: list[bytes] = []
    while length and (piece := stream.read(length)):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)
