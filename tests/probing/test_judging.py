"""The prober's verdict: one wrong answer fails, a share of slow ones is weighed, a blind prober says so."""

from __future__ import annotations

from math import isclose

import pytest

from ops.probing.judging import Sample, at_least, judge
from ops.verdict import Outcome

TARGETS = {"query": 0.5}


def answers(count: int, slow: int = 0, lag_seconds: float = 0.0) -> list[Sample]:
    return [Sample("structured", 0.6 if i < slow else 0.1, lag_seconds, "query") for i in range(count)]


def test_right_and_quick_answers_pass() -> None:
    verdict = judge([Sample("health", 0.01), *answers(20)], TARGETS)
    assert verdict.outcome is Outcome.PASS
    assert [item.values.get("asked") for item in verdict.evidence][:2] == [1, 20]


def test_one_wrong_answer_of_many_fails_and_is_named() -> None:
    verdict = judge([*answers(99), Sample("chat", 0.1, task_class="generation", problem="status 503")], TARGETS)
    assert verdict.outcome is Outcome.FAIL
    assert "chat: 1 of 1 answers are wrong: status 503" in [item.text for item in verdict.evidence]


@pytest.mark.parametrize(
    ("count", "slow", "outcome"),
    [
        (1, 0, Outcome.PASS),
        (1, 1, Outcome.INCONCLUSIVE),
        (20, 1, Outcome.PASS),
        (20, 3, Outcome.INCONCLUSIVE),
        (20, 5, Outcome.FAIL),
        (200, 10, Outcome.PASS),
        (200, 40, Outcome.FAIL),
        (3, 3, Outcome.FAIL),
    ],
)
def test_slow_answers_are_weighed_as_a_p95(count: int, slow: int, outcome: Outcome) -> None:
    assert judge(answers(count, slow), TARGETS).outcome is outcome


def test_a_prober_that_was_late_itself_says_nothing_of_latency() -> None:
    assert judge(answers(20, lag_seconds=0.2), TARGETS).outcome is Outcome.INVALID


def test_a_prober_that_cannot_ask_is_blind_not_failing() -> None:
    assert judge([Sample("health", 0.1, blind="no such host")], TARGETS).outcome is Outcome.INVALID


def test_nothing_asked_is_no_pass() -> None:
    assert judge([], TARGETS).outcome is Outcome.INVALID


def test_the_binomials_tail() -> None:
    assert at_least(0, 10, 0.05) == 1.0
    assert isclose(at_least(1, 1, 0.05), 0.05)
    assert isclose(at_least(2, 2, 0.5), 0.25)
    assert isclose(at_least(1, 20, 0.05), 1 - 0.95**20)
