"""The four verdicts and their evidence: the one type in which every instrument answers.

Only ``pass`` is green. ``inconclusive`` is honest data, too little of it; ``invalid`` is an instrument that was
blind or broken. Nothing here decides; it names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3, Outcome.INVALID: 4}
EXIT_USAGE = 2
"""Wrong usage or configuration: no instrument ran, so there is no verdict."""


@dataclass(frozen=True)
class Evidence:
    """One finding, in words with its numbers. ``values`` repeats the numbers for machines."""

    text: str
    values: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    evidence: tuple[Evidence, ...]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]

    def to_json(self) -> dict[str, object]:
        return {
            "outcome": self.outcome.value,
            "evidence": [{"text": item.text, "values": item.values} for item in self.evidence],
        }


# The worst first: a failure that was shown outweighs a part that was blind, and blind outweighs too little data.
_GRAVITY = (Outcome.FAIL, Outcome.INVALID, Outcome.INCONCLUSIVE, Outcome.PASS)


def graver(one: Outcome, other: Outcome) -> bool:
    return _GRAVITY.index(one) < _GRAVITY.index(other)


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict over parts: passes only if every part does. No parts at all is invalid: nothing was looked at."""
    parts = list(verdicts)
    if not parts:
        return Verdict(Outcome.INVALID, (Evidence("nothing was examined"),))
    outcome = min((part.outcome for part in parts), key=_GRAVITY.index)
    return Verdict(outcome, tuple(item for part in parts for item in part.evidence))
