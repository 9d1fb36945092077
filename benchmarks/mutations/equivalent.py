"""Mutants that no case can tell from the rule, each with the reason why they mean the same."""

from __future__ import annotations

import re

from benchmarks.mutations.checking import Checked

EQUIVALENT: dict[tuple[str, str], str] = {
    ("Watchdog", "1 -> 2"): "any value of a vector fires",
    ("Watchdog", "1 -> 0"): "any value of a vector fires",
    ("Watchdog", "keep_firing_for 0 -> 300"): "it never ends",
    ("StorageFullSoon", "0 -> 1"): "a byte more or less of a forecast is nothing",
    ("StorageFullSoon", "0 -> -1"): "a byte more or less of a forecast is nothing",
}
"""By rule and what was changed."""


ONLY_AVAILABILITY = re.compile(r'tier_class_objective:\w+:increase(1h|3d){objective="availability"}: dropped')
"""Windows for which the recordings keep no other objective; a test of the recordings would show if they did."""
SAME_LABELS = re.compile(r"tier_class_objective:(misses|requests):increase30d{objective=[^}]*}: dropped")
"""In the budgets' divisions, whose two sides are matched on ``objective``."""


def reason(checked: Checked) -> str | None:
    if ONLY_AVAILABILITY.fullmatch(checked.what):
        return "only availability is recorded over that window"
    if checked.rule.endswith(":error_budget_remaining:ratio") and SAME_LABELS.fullmatch(checked.what):
        return "the other side of the division keeps to these objectives, and both are matched on it"
    return EQUIVALENT.get((checked.rule, checked.what))
