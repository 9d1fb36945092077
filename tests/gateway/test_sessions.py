"""Of each session one request is scored, in a memory that has an end."""

from __future__ import annotations

from serving.gateway.sessions import ScoredSessions


def test_the_first_request_of_a_session_is_scored_and_no_other() -> None:
    sessions = ScoredSessions()
    assert [sessions.is_first("production", 3, point) for point in (1.5, 2.5, 1.5, 1.5, 2.5)] == [
        True, True, False, False, False
    ]  # fmt: skip


def test_each_epoch_scores_a_session_anew() -> None:
    sessions = ScoredSessions()
    assert [sessions.is_first("production", epoch, 1.5) for epoch in (3, 3, 4, 4)] == [True, False, True, False]


def test_tiers_know_nothing_of_each_other() -> None:
    sessions = ScoredSessions()
    assert sessions.is_first("production", 3, 1.5)
    assert sessions.is_first("edge", 7, 1.5)
    assert not sessions.is_first("production", 3, 1.5), "another tier's epoch begins nothing here"


def test_what_does_not_fit_is_not_scored_and_what_was_scored_stays_known() -> None:
    sessions = ScoredSessions(sessions_max=2)
    points = (1.0, 2.0, 3.0, 1.0, 3.0)
    assert [sessions.is_first("production", 3, point) for point in points] == [True, True, False, False, False]
    assert sessions.is_first("production", 4, 3.0), "the next epoch has room again"
