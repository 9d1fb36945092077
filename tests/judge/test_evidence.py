"""E-values: closed forms by hand, and the supermartingale property by exact enumeration."""

from __future__ import annotations

from math import comb, inf, isclose, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.judge.evidence import (
    Boundary,
    Fallen,
    Profile,
    better_than,
    e_rate_above,
    e_rate_below,
    observe,
    worse_than,
)

DISTANCES = [0.2 * i for i in range(1, 21)]


def binomial(k: int, n: int, p: float) -> float:
    return comb(n, k) * p**k * (1 - p) ** (n - k)


def fall(share: float, ratio: float) -> float:
    """The chance that a bad event falls on the canary, whose rate is ``ratio`` times the reference's."""
    return share * ratio / (1 - share + share * ratio)


def evidence(margin: float, fallen: Fallen) -> float:
    return observe(Profile(), worse_than(margin), fallen).e_value


def expected_e(before: Profile, boundary: Boundary, total: int, share: float, ratio: float) -> float:
    """Of the next e-value, exactly: the canary's part of ``total`` bad events is binomial."""
    p = fall(share, ratio)
    return sum(
        binomial(k, total, p) * observe(before, boundary, Fallen(k, total - k, share)).e_value
        for k in range(total + 1)
    )


def test_no_events_are_no_evidence() -> None:
    assert Profile().e_value == 1
    assert observe(Profile(), worse_than(1.5), Fallen(0, 0, 0.5)) == Profile()


def test_one_event_on_the_canary_by_hand() -> None:
    # Margin 1, share 1/2: the chance is 1/2 if it is no worse, e^d/(1+e^d) for the alternative d.
    by_hand = sum(2 * 2.718281828459045**d / (1 + 2.718281828459045**d) for d in DISTANCES) / len(DISTANCES)
    assert isclose(observe(Profile(), worse_than(1.0), Fallen(1, 0, 0.5)).e_value, by_hand, rel_tol=1e-12)


def test_one_event_on_the_reference_by_hand() -> None:
    by_hand = sum(2 / (1 + 2.718281828459045**d) for d in DISTANCES) / len(DISTANCES)
    assert isclose(observe(Profile(), worse_than(1.0), Fallen(0, 1, 0.5)).e_value, by_hand, rel_tol=1e-12)


def test_a_single_alternative_is_the_likelihood_ratio_of_two_binomials() -> None:
    boundary, share = worse_than(1.5), 0.05
    profile = observe(Profile(), boundary, Fallen(4, 6, share))
    null = fall(share, 1.5)
    for point, distance in zip(profile.points, DISTANCES, strict=True):
        other = fall(share, 1.5 * 2.718281828459045**distance)
        assert isclose(point, 4 * log(other / null) + 6 * log((1 - other) / (1 - null)), abs_tol=1e-9)


def test_all_events_on_the_canary_speak_against_it_and_none_for_it() -> None:
    against = observe(Profile(), worse_than(1.5), Fallen(30, 0, 0.5)).e_value
    in_favour = observe(Profile(), better_than(3.0), Fallen(30, 0, 0.5)).e_value
    assert against > 1000
    assert in_favour < 0.1


def test_the_order_and_grouping_of_events_change_nothing() -> None:
    at_once = observe(Profile(), worse_than(1.5), Fallen(5, 7, 0.3))
    one_by_one = Profile()
    for canary, reference in [(1, 0), (2, 3), (0, 4), (2, 0)]:
        one_by_one = observe(one_by_one, worse_than(1.5), Fallen(canary, reference, 0.3))
    assert one_by_one.points == pytest.approx(at_once.points)
    assert (one_by_one.canary, one_by_one.total) == (5, 12)
    assert isclose(one_by_one.expected, 12 * 0.3)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_none_or_all_teaches_nothing(share: float) -> None:
    canary = int(share) * 5
    assert observe(Profile(), worse_than(1.5), Fallen(canary, 5 - canary, share)).e_value == pytest.approx(1)


@pytest.mark.parametrize("margin", [1.0, 1.25, 1.5, 3.0])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_at_the_margin_the_evidence_against_is_a_fair_game(margin: float, share: float) -> None:
    for total in (1, 2, 7, 20):
        assert isclose(expected_e(Profile(), worse_than(margin), total, share, margin), 1.0, rel_tol=1e-9)


@pytest.mark.parametrize("harm", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_at_the_harm_the_evidence_in_favour_is_a_fair_game(harm: float, share: float) -> None:
    for total in (1, 2, 7, 20):
        assert isclose(expected_e(Profile(), better_than(harm), total, share, harm), 1.0, rel_tol=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    share=st.floats(0.01, 0.99),
    margin=st.floats(1.0, 4.0),
    within=st.floats(0.01, 1.0),
    history=st.tuples(st.integers(0, 15), st.integers(0, 15)),
    total=st.integers(1, 12),
)
def test_no_canary_within_the_margin_gains_evidence_against_it_on_average(
    share: float, margin: float, within: float, history: tuple[int, int], total: int
) -> None:
    before = observe(Profile(), worse_than(margin), Fallen(*history, share))
    after = expected_e(before, worse_than(margin), total, share, margin * within)
    assert after <= before.e_value * (1 + 1e-9)


@settings(deadline=None, max_examples=60)
@given(
    share=st.floats(0.01, 0.99),
    harm=st.floats(1.0, 4.0),
    beyond=st.floats(1.0, 50.0),
    history=st.tuples(st.integers(0, 15), st.integers(0, 15)),
    total=st.integers(1, 12),
)
def test_no_harmful_canary_gains_evidence_in_favour_on_average(
    share: float, harm: float, beyond: float, history: tuple[int, int], total: int
) -> None:
    before = observe(Profile(), better_than(harm), Fallen(*history, share))
    after = expected_e(before, better_than(harm), total, share, harm * beyond)
    assert after <= before.e_value * (1 + 1e-9)


@settings(deadline=None, max_examples=60)
@given(bound=st.floats(0.001, 0.5), part=st.floats(0.0, 1.0), total=st.integers(1, 40))
def test_a_rate_within_the_budget_gains_no_evidence_of_being_above(bound: float, part: float, total: int) -> None:
    rate = bound * part
    mean = sum(binomial(k, total, rate) * e_rate_above(bound, bad=k, total=total) for k in range(total + 1))
    assert mean <= 1 + 1e-9


@settings(deadline=None, max_examples=60)
@given(bound=st.floats(0.001, 0.5), part=st.floats(0.0, 1.0), total=st.integers(1, 40))
def test_a_rate_over_the_bound_gains_no_evidence_of_being_below(bound: float, part: float, total: int) -> None:
    rate = bound + part * (1 - bound)
    mean = sum(binomial(k, total, rate) * e_rate_below(bound, bad=k, total=total) for k in range(total + 1))
    assert mean <= 1 + 1e-9


def test_outcomes_that_are_not_known_yet_only_weaken_the_evidence_of_being_above() -> None:
    # The judge counts a request as good until it is known to be bad: that must err towards the canary.
    for bad in range(5):
        assert e_rate_above(0.05, bad=bad, total=20) <= e_rate_above(0.05, bad=bad + 1, total=20)


def test_a_single_good_outcome_by_hand() -> None:
    rates = [0.0, *(f * 0.03 for f in (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95))]
    assert isclose(e_rate_below(0.03, bad=0, total=1), sum((1 - r) / 0.97 for r in rates) / 8, rel_tol=1e-12)


def test_nothing_seen_says_nothing_of_a_rate() -> None:
    assert e_rate_above(0.05, bad=0, total=0) == 1
    assert e_rate_below(0.03, bad=0, total=0) == 1


def test_evidence_beyond_any_float_is_a_number_that_json_can_hold() -> None:
    assert 1e300 < e_rate_above(0.01, bad=5000, total=5000) < inf
    assert 1e300 < observe(Profile(), worse_than(1.0), Fallen(100_000, 0, 0.01)).e_value < inf
    assert observe(Profile(), worse_than(1.0), Fallen(0, 100_000, 0.5)).e_value < 1e-6
    # What went beyond it can be brought back by later data: the points themselves stay finite.
    far = observe(Profile(), worse_than(1.0), Fallen(100_000, 0, 0.01))
    assert observe(far, worse_than(1.0), Fallen(0, 10_000_000, 0.5)).e_value < 1e-6


@settings(deadline=None, max_examples=60)
@given(
    share=st.floats(0.01, 0.99),
    rate=st.floats(0.0, 0.95),
    margin=st.floats(1.0, 4.0),
    within=st.floats(0.01, 1.0),
    total=st.integers(1, 12),
)
def test_with_a_known_rate_no_odds_within_the_margin_gain_evidence_on_average(
    share: float, rate: float, margin: float, within: float, total: int
) -> None:
    odds = margin * within
    p = fall(share, odds / (1 - rate + rate * odds))
    after = [evidence(margin, Fallen(k, total - k, share, rate)) for k in range(total + 1)]
    assert sum(binomial(k, total, p) * e for k, e in enumerate(after)) <= 1 + 1e-9


@settings(deadline=None, max_examples=60)
@given(
    share=st.floats(0.01, 0.99), wrong=st.floats(0.0, 0.99), margin=st.floats(1.0, 4.0), total=st.integers(1, 12)
)
def test_however_wrong_the_rate_an_equal_canary_gains_no_evidence_against_it(
    share: float, wrong: float, margin: float, total: int
) -> None:
    after = [evidence(margin, Fallen(k, total - k, share, wrong)) for k in range(total + 1)]
    assert sum(binomial(k, total, share) * e for k, e in enumerate(after)) <= 1 + 1e-9


def test_where_the_event_is_common_a_smaller_excess_is_already_harmful() -> None:
    # 64 % against 90 %: odds of 5, though the rate is only 1.4 times as high.
    assert observe(Profile(), better_than(3.0), Fallen(900, 640, 0.5, 0.64)).e_value < 0.1
    assert observe(Profile(), worse_than(1.5), Fallen(900, 640, 0.5, 0.64)).e_value > 1000
