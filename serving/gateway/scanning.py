"""What an engine's stream holds, found in its bytes without decoding them: words, refusal, end mark, error, usage.

A quote inside a JSON string is always escaped, so a bare ``"content":"`` can only be the key itself.
"""

from __future__ import annotations

import re

import msgspec

from serving.gateway.repeating import PENDING_BYTES_MAX, Spoken

_CONTENT = re.compile(rb'"(?:content|text|reasoning_content|reasoning|arguments|refusal)"\s*:\s*"[^"]')
_ERROR = re.compile(rb'(?:^|\n)(?:event: error|data: ?\{"error")')
_REFUSAL = re.compile(rb'"refusal"\s*:\s*"[^"]')
_FILTERED = re.compile(rb'"finish_reason"\s*:\s*"content_filter"')
DONE = b"data: [DONE]"
_USAGE_ONLY = re.compile(rb'"choices": ?\[\]')
"""Marks the event that an engine sends for ``stream_options.include_usage`` alone."""
TAIL_BYTES = 1024
"""How much of the end of an answer is kept: its usage and its end mark lie there."""


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class _HoldsUsage(msgspec.Struct, frozen=True):
    usage: Usage | None = None


_usage_of = msgspec.json.Decoder(_HoldsUsage)


class Scan:
    """Follows one stream, chunk by chunk. What it says is known after ``end``."""

    __slots__ = (
        "_pending",
        "_pending_bytes",
        "_spoken",
        "errored",
        "has_content",
        "refused",
        "repeated",
        "tail",
    )

    def __init__(self) -> None:
        self.has_content = False
        self.errored = False
        """The engine reported an error in mid-stream."""
        self.refused = False
        """The model declined to answer, or its words were filtered."""
        self.repeated = False
        """The answer ends in a loop."""
        self.tail = b""
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._spoken = Spoken()

    def feed(self, chunk: bytes) -> bool:
        """Takes the next bytes. True if they brought the first content."""
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        if self._pending_bytes > PENDING_BYTES_MAX:
            self._read(b"".join(self._pending))
        tail = self.tail
        joined = tail + chunk if tail else chunk
        self.tail = chunk if len(chunk) >= TAIL_BYTES else joined[-TAIL_BYTES:]
        if b'"error"' in chunk and _ERROR.search(joined):
            self.errored = True
        if self.has_content or not _CONTENT.search(joined):
            return False
        self.has_content = True
        return True

    def end(self) -> None:
        """Nothing more will come."""
        self._read(b"".join(self._pending), ended=True)
        self.repeated = self._spoken.repeats()

    def _read(self, raw: bytes, ended: bool = False) -> None:
        """Reads what came as far as events are whole; one that is beyond all bounds is read in parts."""
        end = len(raw) if ended else raw.rfind(b"\n") + 1 or len(raw)
        self._pending = [raw[end:]]
        self._pending_bytes = len(raw) - end
        events = raw[:end]
        declined = b'"refusal"' in events and _REFUSAL.search(events)
        if declined or (b'"content_filter"' in events and _FILTERED.search(events)):
            self.refused = True
        self._spoken.read(events)

    @property
    def done(self) -> bool:
        """The stream's end mark has come."""
        return self.tail.rstrip().endswith(DONE)

    def usage(self) -> Usage | None:
        """The usage that the end of a stream tells, or None."""
        for line in reversed(self.tail.split(b"\n")):
            if line.startswith(b"data: {") and b'"usage"' in line:
                return usage_of_event(line[6:])
        return None


def usage_of_event(event: bytes) -> Usage | None:
    """None where it tells none."""
    try:
        return _usage_of.decode(event).usage
    except msgspec.DecodeError:
        return None


def holds_content(answer: bytes) -> bool:
    """Whether any words are found in an answer's bytes, whatever its shape."""
    return _CONTENT.search(answer) is not None


class UsageStripper:
    """Takes the usage event, which only the gateway asked for, out of a stream.

    Passes whole events at once; of an event that came in part, the part is held back until its end has come.
    """

    __slots__ = ("_held",)

    HELD_BYTES_MAX = 65_536

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream can go out now."""
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        if not chunk.endswith(b"\n\n"):
            end = chunk.rfind(b"\n\n") + 2 if b"\n\n" in chunk else 0
            if len(chunk) - end <= self.HELD_BYTES_MAX:
                chunk, self._held = chunk[:end], chunk[end:]
        if not _USAGE_ONLY.search(chunk):
            return chunk
        return b"\n\n".join(event for event in chunk.split(b"\n\n") if not _USAGE_ONLY.search(event))

    def rest(self) -> bytes:
        """What is left when the stream has ended in mid-event."""
        held, self._held = self._held, b""
        return held
