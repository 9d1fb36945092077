"""Mutants that no case can tell from the rule, each with the reason why they mean the same."""

from __future__ import annotations

from benchmarks.mutations.checking import Checked

EQUIVALENT: dict[tuple[str, str], str] = {
    ("Watchdog", "1 -> 2"): "any value of a vector fires",
    ("Watchdog", "1 -> 0"): "any value of a vector fires",
}
"""By rule and what was changed."""


def reason(checked: Checked) -> str | None:
    return EQUIVALENT.get((checked.rule, checked.what))
