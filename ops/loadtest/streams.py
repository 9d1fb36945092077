"""Server-sent events of a model's stream: when tokens came, how many, and whether the stream is whole.

Only what the figures need is read: whether an event carries content, its tokens where vLLM sends several at once, the
usage at the end, and the end mark. No text is kept.
"""

from __future__ import annotations

import msgspec

_END = b"[DONE]"
_EVENT_BYTES_MAX = 1 << 20
_SEPARATOR = b"\n\n"


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: str | None = None
    token_ids: list[int] | None = None


class _Usage(msgspec.Struct):
    completion_tokens: int = 0
    prompt_tokens: int = 0


class _Event(msgspec.Struct):
    error: msgspec.Raw | None = None
    choices: list[_Choice] = []
    usage: _Usage | None = None
    text: str | None = None
    """Of the service's own tasks, which stream text alone."""


_decode = msgspec.json.Decoder(_Event).decode


class Stream:
    """Fed with an answer's body as it comes; ``at`` in seconds of the clock of the connection."""

    __slots__ = ("_rest", "broken", "counted", "events", "first", "intervals", "last", "usage", "whole")

    def __init__(self) -> None:
        self._rest = b""
        self.first = self.last = 0.0
        """When the first and the last event with content came; 0 if none has."""
        self.events = 0
        """Events with content."""
        self.counted = 0
        """Tokens that the events name; 0 where the engine was not asked to name them (vLLM's ``return_token_ids``)."""
        self.intervals: list[float] = []
        """Seconds between one event with content and the next."""
        self.usage: _Usage | None = None
        self.whole = False
        """The end mark came."""
        self.broken = False
        """An error came, or what is no event of a model; the end mark may come all the same."""

    def feed(self, data: bytes, at: float) -> None:
        """Raises ValueError on an event longer than any model's."""
        if self._rest:
            data = self._rest + data
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")  # one that is split stays in the rest until its other half comes
        *events, self._rest = data.split(_SEPARATOR)
        if len(self._rest) > _EVENT_BYTES_MAX:
            raise ValueError("an event of a stream is too long")
        for event in events:
            self._event(event, at)

    def _event(self, event: bytes, at: float) -> None:
        payload = _payload(event)
        if payload == _END:
            self.whole = True
            return
        if not payload:  # a comment, which keeps the connection open
            return
        try:
            found = _decode(payload)
        except msgspec.DecodeError:
            self.broken = True
            return
        if found.error is not None and found.error != b"null":
            self.broken = True
        if found.usage is not None:
            self.usage = found.usage
        self.counted += sum(len(one.token_ids) for one in found.choices if one.token_ids)
        if found.text or any(
            one.text or (one.delta and (one.delta.content or one.delta.reasoning_content)) for one in found.choices
        ):
            if self.events:
                self.intervals.append(at - self.last)
            else:
                self.first = at
            self.events += 1
            self.last = at

    @property
    def reconciled(self) -> bool:
        """Whether the usage told at the end agrees with what came: all tokens named, or at least one an event."""
        if self.usage is None:
            return False
        told = self.usage.completion_tokens
        return told == self.counted if self.counted else told >= self.events

    @property
    def tokens(self) -> int:
        """By the usage that the engine tells; without it, one for each event."""
        return self.usage.completion_tokens if self.usage is not None else self.events


def _payload(event: bytes) -> bytes:
    """The data of an event, its lines together; other fields, and comments, left out."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line[5:].strip() for line in lines).strip()
