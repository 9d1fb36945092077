"""The canary against its own transcript: noise passes, damage does not, and what cannot be compared is invalid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.quality.damage import judge_damage, noise_of, unusable
from ops.quality.model import Noise, Reading, Scored, Transcript
from ops.rollout.plan import DamagePlan, Role
from ops.verdict import Outcome

BASE = [[-1.0, -2.0, -0.5, -7.0]] * 5
PLAN = DamagePlan(Role.CRITICAL, 0.5, 0.05, noise_factor=4, token_tolerance_nats_max=1.0)
STILL = Noise(0.0, 0.0)


def texts(values: list[list[float]]) -> tuple[Scored, ...]:
    return tuple(Scored(f"t{i}", "abc", tuple(range(len(v))), tuple(v)) for i, v in enumerate(values))


def own(values: list[list[float]], noise: Noise = STILL) -> Transcript:
    return Transcript("r", "d", "simulated", "1", "concerts", "t", 0.0, texts(values), (), noise)


def verdict(values: list[list[float]], **changes: Any) -> Any:
    return judge_damage(own(BASE), replace(Reading("1", texts(values), ()), **changes), PLAN)


def test_the_same_again_passes() -> None:
    assert verdict(BASE).outcome is Outcome.PASS


@given(st.lists(st.lists(st.floats(-0.05, 0.05), min_size=4, max_size=4), min_size=5, max_size=5))
def test_noise_below_the_tolerances_passes_whatever_it_looks_like(noise: list[list[float]]) -> None:
    noisy = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(BASE, noise, strict=True)]
    mean = sum(abs(value) for row in noise for value in row) / 20
    if mean < 0.049:
        assert verdict(noisy).outcome is Outcome.PASS


@given(st.integers(0, 4), st.integers(0, 3), st.floats(0.51, 50) | st.floats(-50, -0.51))
def test_one_token_beyond_its_tolerance_is_damage(row: int, place: int, change: float) -> None:
    values = [list(one) for one in BASE]
    values[row][place] += change
    found = verdict(values)
    assert found.outcome is Outcome.FAIL
    assert found.evidence[0].values["tokens_beyond"] == 1


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_shift_of_everything_within_each_tokens_tolerance_is_damage(sign: int) -> None:
    found = verdict([[value + sign * 0.1 for value in row] for row in BASE])
    assert found.outcome is Outcome.FAIL
    assert found.evidence[0].values["tokens_beyond"] == 0


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_damage(broken: float) -> None:
    found = verdict([[broken, *BASE[0][1:]], *BASE[1:]])
    assert found.outcome is Outcome.FAIL
    assert "finite" in found.evidence[0].text


def test_another_tokenizer_is_damage() -> None:
    others = tuple(replace(one, tokens=tuple(token + 1 for token in one.tokens)) for one in texts(BASE))
    found = verdict(BASE, answers=others)
    assert found.outcome is Outcome.FAIL
    assert "tokenizer" in found.evidence[0].text


def test_without_a_transcript_or_on_another_engine_or_with_texts_missing_nothing_is_said() -> None:
    reading = Reading("1", texts(BASE), ())
    assert judge_damage(None, reading, PLAN).outcome is Outcome.INVALID
    assert verdict(BASE, engine_version="2").outcome is Outcome.INVALID
    assert verdict(BASE, answers=texts(BASE)[:-1]).outcome is Outcome.INVALID
    assert judge_damage(own([]), Reading("1", (), ()), PLAN).outcome is Outcome.INVALID


def test_a_transcript_without_finite_numbers_is_not_kept() -> None:
    assert unusable(own(BASE), PLAN) is None
    assert "finite" in (unusable(own([[math.nan]]), PLAN) or "")
    assert unusable(own([]), PLAN) is not None


def test_passages_count_as_well(
    make_scored: Callable[..., Any],
    make_transcript: Callable[..., Any],
    make_reading: Callable[..., Any],
    damage_plan: DamagePlan,
) -> None:
    sound, spoilt = make_scored([[-1.0] * 4]), make_scored([[-1.0, -1.0, -1.0, -3.0]])
    found = judge_damage(make_transcript(sound, sound), make_reading(sound, spoilt), damage_plan)
    assert found.outcome is Outcome.FAIL


def test_a_noisy_engine_is_held_to_its_own_noise() -> None:
    shifted = Reading("1", texts([[value + 0.2 for value in row] for row in BASE]), ())
    assert judge_damage(own(BASE), shifted, PLAN).outcome is Outcome.FAIL
    assert judge_damage(own(BASE, Noise(0.2, 0.06)), shifted, PLAN).outcome is Outcome.PASS


@given(st.floats(0.13, 0.24), st.lists(st.floats(-1, 1), min_size=20, max_size=20))
def test_what_is_no_larger_than_the_noise_that_was_measured_passes(scale: float, noise: list[float]) -> None:
    measured = noise_of([[scale] * 20])
    rows = [[v + scale * noise[4 * i + j] for j, v in enumerate(row)] for i, row in enumerate(BASE)]
    assert judge_damage(own(BASE, measured), Reading("1", texts(rows), ()), PLAN).outcome is Outcome.PASS


def test_an_engine_too_noisy_to_be_held_to_anything_gets_no_transcript() -> None:
    assert unusable(own(BASE, Noise(0.24, 0.1)), PLAN) is None
    assert "differs from itself" in (unusable(own(BASE, Noise(0.26, 0.1)), PLAN) or "")
    assert "differs from itself" in (unusable(own(BASE, noise_of([[math.nan]])), PLAN) or "")


def test_the_noise_is_that_of_the_worst_reading() -> None:
    assert noise_of([[0.1, -0.3], [0.2, 0.2]]) == Noise(0.3, 0.2)
    assert noise_of([]) == STILL
