"""What a soak shows: enough rollouts of each kind, all of the bad ones back, nearly all of the good ones promoted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.soak_verdict import SLOW, Case, Ended, Lag, judged, table
from ops.verdict import Outcome

ON_TIME = Lag(1000, 10)


def ended(good: int, lost: int, back: int, missed: int, served: int = 20) -> list[Ended]:
    def one(fault: str | None, state: str) -> Ended:
        return Ended(Case(0, fault), "edge", state, "because", 60.0, served, 3, None)

    return [
        *[one(None, "promoted")] * good, *[one(None, "rolled_back")] * lost,
        *[one(SLOW, "rolled_back")] * back, *[one(SLOW, "promoted")] * missed,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("of_them", "outcome"),
    [
        (ended(20, 0, 20, 0), Outcome.PASS),
        (ended(19, 1, 20, 0), Outcome.PASS),
        (ended(18, 2, 20, 0), Outcome.FAIL),
        (ended(20, 0, 19, 1), Outcome.FAIL),
        (ended(20, 0, 20, 0, served=59), Outcome.PASS),
        (ended(20, 0, 20, 0, served=60), Outcome.FAIL),
        (ended(2, 0, 3, 0), Outcome.INCONCLUSIVE),
        (ended(2, 0, 3, 1), Outcome.FAIL),
        (ended(20, 0, 0, 0), Outcome.INCONCLUSIVE),
        ([], Outcome.INCONCLUSIVE),
    ],
)
def test_the_targets_are_stated_for_twenty_of_each(of_them: list[Ended], outcome: Outcome) -> None:
    assert judged(of_them, ON_TIME).outcome is outcome


def test_a_load_that_was_late_or_absent_shows_nothing() -> None:
    assert judged(ended(20, 0, 20, 0), Lag(1000, 11)).outcome is Outcome.INVALID
    assert judged(ended(20, 0, 20, 0), Lag(0, 0)).outcome is Outcome.INVALID


def test_a_soak_that_was_broken_off_is_never_green() -> None:
    verdict = judged(ended(20, 0, 20, 0), ON_TIME, "interrupted")
    assert verdict.outcome is Outcome.INVALID
    assert verdict.evidence[0].text == "broken off: interrupted"


def test_the_table_has_a_line_for_each_kind_with_the_good_ones_first() -> None:
    lines = table(ended(2, 0, 3, 0)).splitlines()[2:]
    assert lines == ["| good | 2 | 2 | 0 | 60 | 20 | 3 |", f"| {SLOW} | 3 | 0 | 3 | 60 | 20 | 3 |"]
