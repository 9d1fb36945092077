"""What pictures, words and exit codes are made of: pure functions, their tables and their properties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.cli.rollout_choosing import end_words, promotion_words, return_words
from ops.cli.rollout_glyphs import evidence_cells, weight_cells
from ops.cli.rollout_json import look_json, rollout_json
from ops.cli.rollout_outcome import end_verdict, standstill_verdict
from ops.cli.rollout_waiting import waits_for
from ops.cli.rollout_words import duration, e_words, journal_words, percent, plain, rate, weights
from ops.judge.model import Decision
from ops.rollout.decided import Entry
from ops.rollout.record import Fleet, Retained, Rollout, TierRecord
from ops.rollout.states import ENDED, State
from ops.store.rollouts import JournalLine, Loaded, LookLine
from serving.contract import WEIGHT_TOTAL, Arm, BadEvent

MakeLook = Callable[..., LookLine]


@pytest.mark.parametrize(("state", "code"), [("promoted", 0), ("rolled_back", 1), ("refused", 1)])
def test_an_end_has_its_exit_code(rollout: Rollout, state: str, code: int) -> None:
    verdict = end_verdict(replace(rollout, state=State(state)))
    assert verdict is not None
    assert verdict.exit_code == code


def test_what_runs_has_no_verdict_and_every_end_has_one(rollout: Rollout) -> None:
    for state in State:
        assert (end_verdict(replace(rollout, state=state)) is not None) is (state in ENDED)


@pytest.mark.parametrize(
    ("state", "changes", "code"),
    [
        (State.PAUSED, {}, 3),
        (State.PAUSED, {"blind_since": 1.0}, 4),
        (State.SUSPENDED, {"needs_resume": True}, 4),
        (State.SUSPENDED, {}, None),
        (State.ANALYSING, {"blind_since": 1.0}, None),
        (State.PREPARING, {}, None),
    ],
)
def test_only_what_a_person_must_move_stands_still(
    rollout: Rollout, state: State, changes: dict[str, float], code: int | None
) -> None:
    verdict = standstill_verdict(replace(rollout, state=state, **changes))  # type: ignore[arg-type]
    assert (verdict.exit_code if verdict else None) == code


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (60, "1 min"), (185, "3 min 5 s"), (3600, "1 h"),
        (7500, "2 h 5 min"), (86_400, "1 d"), (273_600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("e_value", "words"),
    [
        (0.0, "0"), (0.00099, "0"), (0.001, "0.001"), (0.12, "0.12"), (1.0, "1"), (9.96, "10"), (19.99, "19"),
        (1234.5, "1,234"), (599.9, "599"), (9999.9, "9,999"), (12_345.0, "1e4"), (1e12, ">1e12"), (inf, ">1e12"),
    ],
)  # fmt: skip
def test_evidence_reads_well(e_value: float, words: str) -> None:
    assert e_words(e_value) == words


@given(st.floats(min_value=0))
def test_evidence_never_takes_more_than_six_columns(e_value: float) -> None:
    assert len(e_words(e_value)) <= 6


@given(st.floats(min_value=0), st.floats(min_value=1.01, max_value=1e9), st.integers(1, 40))
def test_a_bar_is_full_only_when_the_evidence_is_reached(e_value: float, needed: float, width: int) -> None:
    cells = evidence_cells(e_value, needed, width)
    assert 0 <= cells <= width
    assert (cells == width) is (e_value >= needed)
    assert evidence_cells(e_value * 2, needed, width) >= cells


def test_no_evidence_fills_no_bar() -> None:
    assert [evidence_cells(value, 600, 8) for value in (0.0, 0.5, 1.0, nan)] == [0, 0, 0, 0]
    assert evidence_cells(600**0.5, 600, 8) == 4, "half way on a logarithmic scale"


@given(st.integers(0, WEIGHT_TOTAL), st.integers(0, WEIGHT_TOTAL), st.integers(3, 60))
def test_a_weight_however_small_is_seen(canary: int, baseline: int, width: int) -> None:
    baseline = min(baseline, WEIGHT_TOTAL - canary)
    shares = {Arm.STABLE: WEIGHT_TOTAL - canary - baseline, Arm.BASELINE: baseline, Arm.CANARY: canary}
    cells = weight_cells(shares, width)
    assert sum(cells.values()) == width
    assert {arm for arm, share in shares.items() if share} == set(cells)
    assert min(cells.values()) >= 1


def test_weights_follow_the_step_that_serves(rollout: Rollout) -> None:
    assert weights(rollout) == {Arm.STABLE: 9000, Arm.BASELINE: 500, Arm.CANARY: 500}
    assert weights(replace(rollout, served_step=1)) == {Arm.STABLE: 5000, Arm.CANARY: 5000}
    assert weights(replace(rollout, served_step=2)) == {Arm.CANARY: 10_000}
    assert weights(replace(rollout, served_step=None)) == {Arm.STABLE: 10_000}


def test_shares_and_rates_read_well() -> None:
    assert [percent(weight) for weight in (1, 500, 1250, 10_000)] == ["0.01 %", "5 %", "12.5 %", "100 %"]
    assert [rate(ratio) for ratio in (0, 0.0004, 0.257, 0.9996, 1)] == ["0.0%", "0.0%", "25.7%", "100%", "100%"]
    assert plain("a\x1b[31m\nb\x9b") == "a [31m b "


def test_a_look_waits_for_requests_time_and_evidence(rollout: Rollout, make_look: MakeLook) -> None:
    look = make_look(canary_assigned=31).look
    assert waits_for(rollout, look, 1142.0) == (
        "19 more requests",
        "19 s more",
        "evidence on failed, cut, empty, invalid",
    )
    assert waits_for(rollout, make_look().look, 1160.0) == ("evidence on failed, cut, empty, invalid",)


def test_alone_only_what_has_a_tolerated_rate_is_waited_for(
    rollout: Rollout, make_look: MakeLook, seen: Callable[..., object]
) -> None:
    look = make_look(seen=(seen(BadEvent.SLOW), seen(BadEvent.FAILED))).look
    alone = replace(rollout, step=2, served_step=2)
    assert waits_for(alone, look, 9999.0) == ("evidence on failed",)
    assert waits_for(rollout, look, 9999.0) == ("evidence on slow, failed",)


def test_who_is_not_judged_waits_for_nothing(rollout: Rollout, make_look: MakeLook) -> None:
    assert waits_for(rollout, None, 1142.0) == ()
    assert waits_for(replace(rollout, state=State.PAUSED), make_look().look, 1142.0) == ()
    assert waits_for(rollout, make_look(Decision.BLIND).look, 1142.0) == ()


def test_destructive_commands_name_what_they_touch(rollout: Rollout) -> None:
    assert "7b-2026-11" in promotion_words(rollout)
    assert "(5 % of them now) leave it for 7b-2026-10" in end_words(rollout)
    assert "it serves nothing yet" in end_words(replace(rollout, served_step=None))
    fleet, former = Fleet(rollout.release, ()), Fleet(replace(rollout.release, name="7b-2026-09"), ())
    kept = Loaded(TierRecord("production", stable=fleet, retained=Retained(former, 9e9)), None, None)
    assert return_words(kept, None).endswith("from 7b-2026-11 back to 7b-2026-09, whose replicas still run")
    assert return_words(kept, "7b-2026-01").endswith("back to 7b-2026-01, on new replicas")
    assert "stable before it" in return_words(Loaded(TierRecord("production", stable=fleet), None, None), None)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry("started", "canary rollout of v2"), "started: canary rollout of v2"),
        (Entry("transition", "enough", "roll_back", "paused", "rolling_back"), "paused → rolling back: enough"),
        (Entry("transition", "a_b", "x", "rolling_back", "rolled_back"), "rolling back → rolled back: a_b"),
        (Entry("routes", "warm", payload={"epoch": 4, "weights": {"stable": 9500, "canary": 500, "baseline": 0}}),
         "epoch 4: stable 95 %, canary 5 %"),
        (Entry("resume", ""), "resume"),
        (Entry("resume", "\x1b[2J"), "resume:  [2J"),
    ],
)  # fmt: skip
def test_a_journal_line_in_words(entry: Entry, words: str) -> None:
    assert journal_words(JournalLine(1, 0.0, "production", "r1", entry)) == words


def test_json_says_what_scripts_need(rollout: Rollout, make_look: MakeLook) -> None:
    running = rollout_json(rollout)
    assert (running["state"], running["outcome"], running["weights"]) == (
        "analysing",
        None,
        {"stable": 9000, "baseline": 500, "canary": 500},
    )
    assert rollout_json(replace(rollout, state=State.ROLLED_BACK))["outcome"] == "fail"
    look = look_json(make_look())
    assert (look["number"], look["decision"], look["requests"]) == (7, "hold", {"canary": 1204, "reference": 1190})
    events = look["events"]
    assert isinstance(events, list)
    assert events[0]["e_against_needed"] == 600
