"""Does an answer say the same over and over? Looks at its end alone: a loop is what the model does not leave.

Pure functions of a text, and of a stream's bytes. What they see stays with them: they answer yes or no.
"""

from __future__ import annotations

import re
from collections import deque

import msgspec

REPEATS_MIN = 8
"""A unit that stands so often in a row at an answer's end is a loop; a chorus or a set's encore ends before."""
CHARS_MIN = 48
"""The shortest stretch that is a loop, so that a short word must stand there more often: "no" takes 17 times."""
UNIT_CHARS_MAX = 256
"""The longest unit looked for: eight of them are about all that a generation's 512 tokens can hold."""
NEEDLE_CHARS = 16
"""A unit can only be as long as the way back to where the last so many characters stood before."""
TAIL_CHARS = REPEATS_MIN * UNIT_CHARS_MAX + UNIT_CHARS_MAX
"""What is looked at, with room for what trails after the last word."""
PENDING_BYTES_MAX = 16_384
"""Of a stream's bytes so many wait to be read together: far cheaper than event by event."""
KEYS = (b"content", b"text", b"reasoning_content", b"reasoning", b"arguments")
"""Where an answer's words lie; the first of them that holds any is looked at."""

_PIECES = {key: re.compile(rb'"%s": ?"([^"\\]*(?:\\.[^"\\]*)*)"' % key) for key in KEYS}
_KEY_MARKS = {key: b'"%s":' % key for key in KEYS}
_WORD = re.compile(r"[^\W_]|\ufffd")
"""A letter or a digit, or bytes that are no text (U+FFFD): a model that is damaged loops on these."""


def repeats(text: str) -> bool:
    """Whether a unit of at most UNIT_CHARS_MAX characters fills the text's end, REPEATS_MIN times or more.

    What follows the last word does not count, so neither a closing bracket hides a loop nor does white space or
    punctuation make one.
    """
    text = _up_to_last_word(text[-TAIL_CHARS:])
    size = len(text)
    if size < CHARS_MIN:
        return False
    needle, lowest = text[-NEEDLE_CHARS:], size - NEEDLE_CHARS - UNIT_CHARS_MAX
    at = text.rfind(needle, max(0, lowest), size - 1)
    while at >= 0:
        unit = size - NEEDLE_CHARS - at
        stretch = max(CHARS_MIN, REPEATS_MIN * unit)
        if stretch > size:
            return False
        if text[size - stretch : size - unit] == text[size - stretch + unit :]:
            return True
        at = text.rfind(needle, max(0, lowest), at + NEEDLE_CHARS - 1)
    return False


def _up_to_last_word(text: str) -> str:
    end = len(text)
    while end and not _WORD.match(text, end - 1):
        end -= 1
    return text[:end]


def pieces(raw: bytes, key: bytes) -> list[bytes]:
    """What stands under a key in an answer's JSON, escaped as it is there; empty ones left out."""
    return [piece for piece in _PIECES[key].findall(raw) if piece] if _KEY_MARKS[key] in raw else []


def unescaped(piece: bytes) -> str:
    """The text of a JSON string's inside; nothing if it is none."""
    try:
        return msgspec.json.decode(b'"' + piece + b'"', type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


class Spoken:
    """The last words of a stream, taken from its bytes."""

    __slots__ = ("_held", "_key", "_pieces")

    def __init__(self) -> None:
        self._key = b""
        self._pieces: deque[bytes] = deque()
        self._held = 0
        """Bytes in the pieces."""

    def read(self, raw: bytes) -> None:
        """Takes whole events. Words under another key than before begin a new text."""
        for key in KEYS:
            if found := pieces(raw, key):
                break
        else:
            return
        if key != self._key:
            self._key, self._held = key, 0
            self._pieces.clear()
        self._pieces.extend(found)
        self._held += sum(map(len, found))
        # Escapes make a text longer than it is, and never shorter: six bytes for one character at most.
        while self._held - len(self._pieces[0]) >= 6 * TAIL_CHARS:
            self._held -= len(self._pieces.popleft())

    def repeats(self) -> bool:
        return repeats(unescaped(b"".join(self._pieces)))
