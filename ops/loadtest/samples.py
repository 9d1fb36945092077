"""What came of each request, one line of JSON each, written while the load runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec


class Sample(msgspec.Struct, frozen=True):
    """Times in seconds; ``at`` is the intended time (Unix). No prompt and no answer is kept."""

    at: float
    send_lag: float
    """How much later than intended it was sent: a generator that cannot keep up shows here."""
    latency: float
    """From the intended time to the last byte, so that waiting in the generator counts too."""
    first_token: float | None
    status: int
    """0 if there was no answer."""
    ok: bool
    """Status 200 and complete: a stream ended with its mark."""
    arm: str
    release: str
    stream: bool


def read_samples(path: Path, offset: int = 0) -> tuple[list[Sample], int]:
    """Whole lines from ``offset`` (bytes) on, and the offset after them."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return list(_decoded(whole)), offset + len(whole)


def _decoded(data: bytes) -> Iterator[Sample]:
    decoder = msgspec.json.Decoder(Sample)
    for line in data.splitlines():
        yield decoder.decode(line)
