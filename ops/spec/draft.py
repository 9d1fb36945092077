"""What can be relied on in a spec that may have faults: each value, if it is there and of the right type.

The checks for contradictions read a spec through this, so that a fault in one part hides none in another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ops.spec.faults import Path


@dataclass(frozen=True)
class Draft:
    values: object
    faulty: frozenset[Path]
    """What lies at or below one of these says nothing."""

    def at(self, *path: str | int) -> object:
        """The value, or None if it is absent or in doubt."""
        value = self.values
        for depth, step in enumerate(path):
            if path[:depth] in self.faulty:
                return None
            match value:
                case dict() if step in value:
                    value = value[step]
                case tuple() if isinstance(step, int) and step < len(value):
                    value = value[step]
                case _:
                    return None
        return None if path in self.faulty else value

    def number(self, *path: str | int) -> float | int | None:
        value = self.at(*path)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, *path: str | int) -> str | None:
        value = self.at(*path)
        return value if isinstance(value, str) else None

    def keys(self, *path: str | int) -> tuple[str, ...]:
        """The names in a mapping; none if it is absent or in doubt."""
        value = self.at(*path)
        return tuple(value) if isinstance(value, Mapping) else ()

    def indices(self, *path: str | int) -> range:
        value = self.at(*path)
        return range(len(value)) if isinstance(value, tuple) else range(0)

    def numbers(self, *path: str | int) -> Iterator[tuple[int, float | int]]:
        """The sound numbers of a list, with their indices."""
        for i in self.indices(*path):
            if (value := self.number(*path, i)) is not None:
                yield i, value

    def texts(self, *path: str | int) -> Iterator[tuple[int, str]]:
        for i in self.indices(*path):
            if (value := self.text(*path, i)) is not None:
                yield i, value
