"""How a cause of an invalid run is put into evidence."""

from __future__ import annotations

from ops.verdict import Evidence


def cause(name: str, text: str, **values: float | str) -> Evidence:
    """``name`` is for machines; the text says what was wrong and what mends it."""
    return Evidence(f"invalid: {text}", {"cause": name, **values})
