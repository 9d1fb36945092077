"""The canary against stable on held-out passages: as good passes, worse fails, too little is inconclusive."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist
from typing import Any

import pytest

from ops.quality.likelihood import judge_likelihood, t_quantile
from ops.quality.model import Noise, Scored, Transcript
from ops.rollout.plan import LikelihoodPlan, Role
from ops.verdict import Outcome

PLAN = LikelihoodPlan(Role.CRITICAL, margin_share=0.05, stable_nats_per_char_max=2.0, confidence=0.99, passages_min=20)
PER_CHAR = -0.6
CHARS = 100


def passages(values: list[float], tokens: int = 25) -> tuple[Scored, ...]:
    """Of ``CHARS`` characters, with so many nats per character."""
    each = [value * CHARS / tokens for value in values]
    return tuple(
        Scored(f"p{i}", "x" * CHARS, tuple(range(tokens)), (one,) * tokens) for i, one in enumerate(each)
    )


def stable(values: list[float], digest: str = "t") -> Transcript:
    return Transcript("stable", "d", "simulated", "1", "concerts", digest, 0.0, (), passages(values), Noise(0.0, 0.0))


def verdict(worse_share: float, count: int = 25, spread: float = 0.01, seed: int = 1, **fields: Any) -> Any:
    chance = Random(seed)
    theirs = [PER_CHAR * chance.uniform(0.5, 1.5) for _ in range(count)]
    mine = [value + PER_CHAR * worse_share + chance.gauss(0, spread) for value in theirs]
    return judge_likelihood(passages(mine, **fields), "t", stable(theirs), PLAN)


def test_a_model_that_is_alike_or_better_passes() -> None:
    assert verdict(0.0).outcome is Outcome.PASS
    assert verdict(-0.3).outcome is Outcome.PASS
    assert verdict(0.02).outcome is Outcome.PASS


def test_a_model_beyond_the_margin_fails_with_the_figures() -> None:
    found = verdict(0.15)
    assert found.outcome is Outcome.FAIL
    assert found.evidence[0].values["passages"] == 25
    assert float(found.evidence[0].values["upper_bound"]) < -0.03
    assert "held-out passages" in found.evidence[0].text


def test_at_the_margin_nothing_is_shown() -> None:
    assert verdict(0.05).outcome is Outcome.INCONCLUSIVE


def test_another_tokenizer_changes_nothing() -> None:
    assert verdict(0.0, tokens=10).evidence[0].text == verdict(0.0, tokens=50).evidence[0].text


def test_a_model_at_the_margin_is_rarely_called_worse_and_rarely_good() -> None:
    found = [verdict(0.05, seed=seed, spread=0.03).outcome for seed in range(400)]
    # 1 % of 400 is 4; more than 13 has a chance below 0.0001.
    assert found.count(Outcome.FAIL) <= 13
    assert found.count(Outcome.PASS) <= 13


def test_too_few_passages_are_inconclusive() -> None:
    assert verdict(0.5, count=19).outcome is Outcome.INCONCLUSIVE


def test_without_stables_transcript_or_with_other_texts_nothing_is_said() -> None:
    mine = passages([PER_CHAR] * 25)
    assert judge_likelihood(mine, "t", None, PLAN).outcome is Outcome.INVALID
    assert judge_likelihood(mine, "t", stable([PER_CHAR] * 25, "other"), PLAN).outcome is Outcome.INVALID


@pytest.mark.parametrize("broken", [math.nan, -math.inf])
def test_a_passage_without_a_finite_likelihood_is_worse(broken: float) -> None:
    mine = passages([broken, *[PER_CHAR] * 24])
    assert judge_likelihood(mine, "t", stable([PER_CHAR] * 25), PLAN).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("probability", "degrees", "table"),
    # Any table of Student's t.
    [(0.95, 7, 1.895), (0.99, 7, 2.998), (0.95, 19, 1.729), (0.99, 19, 2.539), (0.99, 24, 2.492), (0.995, 30, 2.750)],
)
def test_the_quantiles_of_students_t_are_those_of_the_tables(probability: float, degrees: int, table: float) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(table, rel=0.005)


def test_with_many_passages_it_is_the_normal_quantile() -> None:
    assert t_quantile(0.99, 10**6) == pytest.approx(NormalDist().inv_cdf(0.99), rel=1e-5)


def test_passages_that_stable_does_not_read_say_nothing() -> None:
    theirs, mine = [-2.9] * 25, [-2.6] * 25
    found = judge_likelihood(passages(mine), "t", stable(theirs), PLAN)
    assert found.outcome is Outcome.INVALID
    assert "domain" in found.evidence[0].text
