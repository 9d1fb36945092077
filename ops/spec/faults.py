"""What is wrong with a spec: each fault with its place, what was found, what was expected and the mend.

``Finding`` is a fault before its place in a file is known; ``SpecError`` carries all faults of a file at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and indices from the root of a spec."""

FAULTS_SHOWN_MAX = 200
QUOTE_LENGTH_MAX = 60
SECRET_KEYS = frozenset({"url"})
"""Keys whose values may hold a secret, and are never quoted."""


@dataclass(frozen=True)
class Finding:
    path: Path
    message: str
    found: str | None = None
    expected: str | None = None
    nearest: str | None = None
    at_key: bool = False
    """The fault is the key at the end of the path, not its value."""
    missing: str | None = None
    """The key that the mapping at the path lacks."""


@dataclass(frozen=True, order=True)
class Fault:
    """``line`` and ``column`` count from 1; 0 where a fault has no place in the file."""

    file: str
    line: int
    column: int
    path: str
    message: str
    found: str | None = None
    expected: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        path = f"{self.path}: " if self.path else ""
        found = [f"found {self.found}"] if self.found is not None else []
        expected = [f"expected {self.expected}"] if self.expected is not None else []
        details = [", ".join(found + expected)] if found or expected else []
        if self.nearest is not None:
            details.append(f"did you mean '{self.nearest}'?")
        return place + path + self.message + (f" ({'; '.join(details)})" if details else "")


class SpecError(Exception):
    """A spec that cannot be used, with every fault found in it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        lines = [str(fault) for fault in self.faults[:FAULTS_SHOWN_MAX]]
        if len(self.faults) > FAULTS_SHOWN_MAX:
            lines.append(f"... and {len(self.faults) - FAULTS_SHOWN_MAX} more")
        return "\n".join(lines)


def path_text(path: Path) -> str:
    """``rollout.strategies.canary.steps_percent[1]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{shortened(step)}" if text else shortened(step)
    return text


def one_of(known: Iterable[str]) -> str:
    return "one of " + ", ".join(shortened(word) for word in known)


def shortened(text: str, length_max: int = QUOTE_LENGTH_MAX) -> str:
    """At most ``length_max`` characters, none of which could disturb a terminal."""
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return printable if len(printable) <= length_max else printable[: length_max - 3] + "..."


def figure(value: float) -> str:
    """A number in full, without a trailing ``.0``."""
    return str(value).removesuffix(".0")


def quoted(value: object) -> str:
    """A value as a message shows it."""
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{shortened(value)}'"
        case int() | float():
            return shortened(figure(value))
        case dict():
            return "an empty mapping" if not value else f"a mapping of {len(value)}"
        case tuple() | list():
            return "an empty list" if not value else f"a list of {len(value)}"
        case _:
            return f"a {type(value).__name__}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, or the only one that it begins; None if there is neither."""
    word, words = word[:QUOTE_LENGTH_MAX], list(known)
    begun = [known_word for known_word in words if word and known_word.startswith(word)]
    alike = difflib.get_close_matches(word, words, n=1, cutoff=0.6) or (begun if len(begun) == 1 else [])
    return alike[0] if alike else None
