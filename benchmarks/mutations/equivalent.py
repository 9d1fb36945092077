"""Mutants that no case can tell from the rule, each with the reason why they mean the same."""

from __future__ import annotations

from benchmarks.mutations.checking import Checked

EQUIVALENT: dict[tuple[str, str], str] = {
    ("Watchdog", "1 -> 2"): "any value of a vector fires",
    ("Watchdog", "1 -> 0"): "any value of a vector fires",
    ("Watchdog", "keep_firing_for 0 -> 300"): "it never ends",
    ("StorageFullSoon", "0 -> 1"): "a byte more or less of a forecast is nothing",
    ("StorageFullSoon", "0 -> -1"): "a byte more or less of a forecast is nothing",
}
"""By rule and what was changed."""


def reason(checked: Checked) -> str | None:
    return EQUIVALENT.get((checked.rule, checked.what))
