"""E-values: closed forms by hand, and the supermartingale property by exact enumeration."""

from __future__ import annotations

from itertools import product
from math import comb, exp, inf, isclose, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.judge.evidence import (
    Boundary,
    Fallen,
    Profile,
    above_bound,
    better_than,
    e_of_rate,
    e_rate_below,
    e_value,
    gains,
    grown,
    steepness,
    worse_than,
)

BEYOND = (0.25, 0.5, 0.9, 1.4, 2.0, 2.8, 3.8, 5.0)
RATES = (0.5, 0.25, 0.1, 0.02)
QUANTILES = (0.5, 0.75, 0.9, 0.98)


def binomial(k: int, n: int, p: float) -> float:
    return comb(n, k) * p**k * (1 - p) ** (n - k)


def fall(share: float, ratio: float) -> float:
    """The chance that an event falls on the canary, whose rate is ``ratio`` times the reference's."""
    return share * ratio / (1 - share + share * ratio)


def raised(rate: float, odds: float) -> float:
    """The rate whose odds are ``odds`` times those of ``rate``."""
    return odds * rate / (1 - rate + odds * rate)


def yes_no(canary: int, reference: int, share: float, rate: float = 0.0) -> Fallen:
    return Fallen((canary,), (reference,), share, (rate,))


def observe(before: Profile, boundary: Boundary, *fallen: Fallen) -> Profile:
    return grown(before, gains(boundary, fallen), fallen)


def evidence(boundary: Boundary, *fallen: Fallen) -> float:
    return e_value(observe(Profile(), boundary, *fallen), len(fallen[0].canary))


def expected_e(before: Profile, boundary: Boundary, total: int, share: float, odds: float, rate: float) -> float:
    """Of the next e-value, exactly: the canary's part of ``total`` events is binomial."""
    p = fall(share, raised(rate, odds) / rate if rate else odds)
    return sum(
        binomial(k, total, p) * e_value(observe(before, boundary, yes_no(k, total - k, share, rate)), 1)
        for k in range(total + 1)
    )


# --- Yes or no ----------------------------------------------------------------------------------------------------


def test_no_events_are_no_evidence() -> None:
    assert e_value(Profile(), 1) == e_value(Profile(), 5) == 1
    assert evidence(worse_than(1.5, False), yes_no(0, 0, 0.5)) == 1


def test_one_event_on_the_canary_by_hand() -> None:
    # Margin 1, share 1/2: the chance is 1/2 if it is no worse, e^d/(1+e^d) for the alternative d.
    by_hand = sum(2 * exp(d) / (1 + exp(d)) for d in BEYOND) / len(BEYOND)
    assert isclose(evidence(worse_than(1.0, False), yes_no(1, 0, 0.5)), by_hand, rel_tol=1e-12)


def test_one_event_on_the_reference_by_hand() -> None:
    by_hand = sum(2 / (1 + exp(d)) for d in BEYOND) / len(BEYOND)
    assert isclose(evidence(worse_than(1.0, False), yes_no(0, 1, 0.5)), by_hand, rel_tol=1e-12)


def test_a_single_alternative_is_the_likelihood_ratio_of_two_binomials() -> None:
    share, rate = 0.05, 0.3
    profile = observe(Profile(), worse_than(1.5, False), yes_no(4, 6, share, rate))
    null = fall(share, raised(rate, 1.5) / rate)
    for point, distance in zip(profile.points, BEYOND, strict=True):
        other = fall(share, raised(rate, 1.5 * exp(distance)) / rate)
        assert isclose(point, 4 * log(other / null) + 6 * log((1 - other) / (1 - null)), abs_tol=1e-9)


def test_all_events_on_the_canary_speak_against_it_and_none_for_it() -> None:
    assert evidence(worse_than(1.5, False), yes_no(30, 0, 0.5)) > 1000
    assert evidence(better_than(3.0), yes_no(30, 0, 0.5)) < 0.1


def test_the_order_and_grouping_of_events_change_nothing() -> None:
    boundary = worse_than(1.5, False)
    at_once = observe(Profile(), boundary, yes_no(5, 7, 0.3))
    one_by_one = Profile()
    for canary, reference in [(1, 0), (2, 3), (0, 4), (2, 0)]:
        one_by_one = observe(one_by_one, boundary, yes_no(canary, reference, 0.3))
    assert one_by_one.points == pytest.approx(at_once.points)
    assert (one_by_one.canary, one_by_one.total) == ((5,), (12,))
    assert one_by_one.expected == pytest.approx((12 * 0.3,))


def test_cells_add_up_whether_shown_together_or_one_after_another() -> None:
    boundary, one, other = worse_than(1.15, True), graded((3, 1, 0, 2, 1), 0.2), graded((1, 0, 2, 0, 3), 0.6)
    together = observe(Profile(), boundary, one, other)
    apart = observe(observe(Profile(), boundary, one), boundary, other)
    assert together.points == pytest.approx(apart.points)
    assert (together.canary, together.total, together.expected) == (apart.canary, apart.total, apart.expected)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_none_or_all_teaches_nothing(share: float) -> None:
    canary = int(share) * 5
    assert evidence(worse_than(1.5, False), yes_no(canary, 5 - canary, share)) == pytest.approx(1)


@pytest.mark.parametrize("margin", [1.0, 1.25, 1.5, 3.0])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.4])
def test_at_the_margin_the_evidence_against_is_a_fair_game(margin: float, share: float, rate: float) -> None:
    for total in (1, 2, 7, 20):
        assert isclose(expected_e(Profile(), worse_than(margin, False), total, share, margin, rate), 1.0, rel_tol=1e-9)


@pytest.mark.parametrize("harm", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_at_the_harm_the_evidence_in_favour_is_a_fair_game(harm: float, share: float) -> None:
    for total in (1, 2, 7, 20):
        assert isclose(expected_e(Profile(), better_than(harm), total, share, harm, 0.1), 1.0, rel_tol=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    share=st.floats(0.01, 0.99),
    margin=st.floats(1.0, 4.0),
    within=st.floats(0.01, 1.0),
    rate=st.floats(0.001, 0.9),
    history=st.tuples(st.integers(0, 15), st.integers(0, 15)),
    total=st.integers(1, 12),
)
def test_no_canary_within_the_margin_gains_evidence_against_it_on_average(
    share: float, margin: float, within: float, rate: float, history: tuple[int, int], total: int
) -> None:
    boundary = worse_than(margin, False)
    before = observe(Profile(), boundary, yes_no(*history, share, rate))
    after = expected_e(before, boundary, total, share, margin * within, rate)
    assert after <= e_value(before, 1) * (1 + 1e-9)


@settings(deadline=None, max_examples=60)
@given(
    share=st.floats(0.01, 0.99),
    harm=st.floats(1.05, 4.0),
    beyond=st.floats(1.0, 50.0),
    rate=st.floats(0.001, 0.9),
    history=st.tuples(st.integers(0, 15), st.integers(0, 15)),
    total=st.integers(1, 12),
)
def test_no_harmful_canary_gains_evidence_in_favour_on_average(
    share: float, harm: float, beyond: float, rate: float, history: tuple[int, int], total: int
) -> None:
    before = observe(Profile(), better_than(harm), yes_no(*history, share, rate))
    after = expected_e(before, better_than(harm), total, share, harm * beyond, rate)
    assert after <= e_value(before, 1) * (1 + 1e-9)


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0.01, 0.99), wrong=st.floats(0.0, 0.95), margin=st.floats(1.0, 3.0), total=st.integers(1, 12))
def test_whatever_is_believed_of_the_rate_a_canary_alike_gains_no_evidence_against_it(
    share: float, wrong: float, margin: float, total: int
) -> None:
    after = [evidence(worse_than(margin, False), yes_no(k, total - k, share, wrong)) for k in range(total + 1)]
    assert sum(binomial(k, total, share) * e for k, e in enumerate(after)) <= 1 + 1e-9


def test_where_the_event_is_common_a_smaller_excess_is_already_harmful() -> None:
    # 64 % against 90 %: odds of 5, though the rate is only 1.4 times as high.
    assert evidence(better_than(3.0), yes_no(900, 640, 0.5, 0.64)) < 0.1
    assert evidence(worse_than(1.5, False), yes_no(900, 640, 0.5, 0.64)) > 1000


# --- Graded: levels -----------------------------------------------------------------------------------------------


def graded(
    canary: tuple[int, ...],
    share: float,
    reference: tuple[int, ...] | None = None,
    rates: tuple[float, ...] = RATES,
    steep: float = 1.0,
) -> Fallen:
    return Fallen(canary, reference or (0,) * len(canary), share, rates, steep)


def on_levels(rates: tuple[float, ...], odds: float = 1.0) -> list[float]:
    """The part of requests on each level if the odds of passing every cut are ``odds`` times those of ``rates``."""
    passing = [1.0, *(raised(rate, odds) for rate in rates), 0.0]
    return [passing[i] - passing[i + 1] for i in range(len(rates) + 1)]


def expected_factors(
    boundary: Boundary,
    share: float,
    steep: float,
    reference: list[float],
    canary: list[float],
    believed: tuple[float, ...],
) -> np.ndarray:
    """By what one request multiplies each alternative's likelihood ratio on average, exactly: it falls on an arm by the
    share and on a level by that arm's rates. Requests are independent, so one tells of all."""
    one = np.eye(len(reference), dtype=int)
    found = 0.0
    for level in range(len(reference)):
        here, nothing = tuple(one[level].tolist()), (0,) * len(reference)
        on_canary = gains(boundary, [graded(here, share, nothing, believed, steep)])[0]
        on_reference = gains(boundary, [graded(nothing, share, here, believed, steep)])[0]
        found = found + share * canary[level] * np.exp(on_canary)
        found = found + (1 - share) * reference[level] * np.exp(on_reference)
    return np.asarray(found)


def test_one_answer_past_the_last_cut_by_hand() -> None:
    # The alternatives of a cut come first: the odds of passing it alone are those of the margin, times so many.
    share, steep, boundary = 0.3, 2.0, worse_than(1.15, True)
    points = observe(Profile(), boundary, graded((0, 0, 0, 0, 1), share, steep=steep)).points
    null = fall(share, raised(0.02, 1.15**steep) / 0.02)
    first_of_last_cut = points[3 * len(boundary.offsets)]
    other = fall(share, raised(0.02, (1.15 * exp(boundary.offsets[0])) ** steep) / 0.02)
    assert isclose(first_of_last_cut, log(other / null), rel_tol=1e-9)


def test_one_answer_on_the_first_level_by_hand() -> None:
    # The last alternatives are of the shift: every cut's odds are raised. The first level becomes rarer.
    share, boundary = 0.3, worse_than(1.15, True)
    points = observe(Profile(), boundary, graded((1, 0, 0, 0, 0), share)).points
    null = fall(share, (1 - raised(0.5, 1.15)) / 0.5)
    other = fall(share, (1 - raised(0.5, 1.15 * exp(boundary.offsets[-1]))) / 0.5)
    assert isclose(points[-1], log(other / null), rel_tol=1e-9)


def test_with_a_single_cut_a_shift_and_a_heavier_tail_are_the_same() -> None:
    boundary = worse_than(1.2, True)
    gained = gains(boundary, [graded((2, 5), 0.4, (6, 3), (0.25,))])[0]
    half = len(boundary.offsets)
    assert gained[:half] == pytest.approx(gained[half:])


def test_a_graded_event_has_an_alternative_per_cut_and_shift() -> None:
    boundary = worse_than(1.15, True)
    assert gains(boundary, [graded((1,) * 5, 0.5)] * 3).shape == (3, 5 * len(boundary.offsets))


def test_slower_answers_speak_against_and_like_answers_for() -> None:
    slower, alike = graded((10, 20, 30, 30, 30), 0.5, (60, 30, 18, 10, 2)), graded((60, 30, 18, 10, 2), 0.5)
    alike = Fallen(alike.canary, alike.canary, 0.5, RATES)
    assert evidence(worse_than(1.15, True), slower) > 1e6
    assert evidence(better_than(1.5), slower) < 0.01
    assert evidence(worse_than(1.15, True), alike) < 1
    assert evidence(better_than(3.0), alike) > 20


def test_the_lower_side_sees_answers_that_grew_shorter() -> None:
    shorter = graded((110, 10, 2, 1, 0), 0.5, (60, 30, 18, 10, 2))
    assert evidence(worse_than(1.2, True, -1), shorter) > 1000
    assert evidence(worse_than(1.2, True), shorter) < 1
    assert evidence(better_than(2.0, -1), shorter) < 1


@settings(deadline=None, max_examples=30)
@given(
    share=st.floats(0.02, 0.98),
    steep=st.floats(0.5, 8.0),
    true=st.tuples(*[st.floats(0.01, 1.0)] * 5),
    believed=st.lists(st.floats(0.005, 0.99), min_size=4, max_size=4, unique=True),
)
def test_with_margin_one_a_canary_alike_is_a_fair_game_whatever_is_believed(
    share: float, steep: float, true: tuple[float, ...], believed: list[float]
) -> None:
    # Levels anywhere, load of any kind, rates and steepness that have nothing to do with the truth.
    levels = [part / sum(true) for part in true]
    rates = tuple(sorted(believed, reverse=True))
    factors = expected_factors(worse_than(1.0, True), share, steep, levels, levels, rates)
    assert factors == pytest.approx(np.ones_like(factors))


@settings(deadline=None, max_examples=60)
@given(
    margin=st.floats(1.0, 2.0),
    side=st.sampled_from([1, -1]),
    share=st.floats(0.02, 0.98),
    steep=st.floats(0.5, 8.0),
    true=st.tuples(*[st.floats(0.0001, 1.0)] * 5),
    believed=st.lists(st.floats(0.005, 0.99), min_size=4, max_size=4, unique=True),
)
def test_a_canary_alike_gains_no_evidence_against_it_wherever_load_has_moved_the_requests(
    margin: float, side: int, share: float, steep: float, true: tuple[float, ...], believed: list[float]
) -> None:
    levels = [part / sum(true) for part in true]
    rates = tuple(sorted(believed, reverse=True))
    factors = expected_factors(worse_than(margin, True, side), share, steep, levels, levels, rates)
    assert factors.max() <= 1 + 1e-9


@pytest.mark.parametrize("margin", [1.02, 1.15, 1.5])
@pytest.mark.parametrize("steep", [0.8, 2.0, 5.0])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_no_canary_up_to_the_margin_in_times_gains_evidence_against_it_on_average(
    margin: float, steep: float, share: float, part: float
) -> None:
    # As many times as slow as ``margin`` to the power of ``part``: 0 is alike, 1 exactly at the margin.
    canary = on_levels(RATES, margin ** (part * steep))
    factors = expected_factors(worse_than(margin, True), share, steep, on_levels(RATES), canary, RATES)
    assert factors.max() <= 1 + 1e-9


@pytest.mark.parametrize("harm", [1.2, 1.5, 2.0])
@pytest.mark.parametrize("steep", [0.8, 2.0, 5.0])
@pytest.mark.parametrize("beyond", [1.0, 1.3, 3.0])
def test_no_canary_past_the_harm_in_times_gains_evidence_in_favour_on_average(
    harm: float, steep: float, beyond: float
) -> None:
    canary = on_levels(RATES, (harm * beyond) ** steep)
    for share in (0.05, 0.5, 0.9):
        factors = expected_factors(better_than(harm), share, steep, on_levels(RATES), canary, RATES)
        assert factors.max() <= 1 + 1e-9


def test_the_mixture_over_two_requests_is_a_fair_game_by_enumeration() -> None:
    # Not of each alternative alone but of the e-value itself, over every way in which three requests can fall.
    share, levels, boundary = 0.3, on_levels(RATES), worse_than(1.0, True)
    mean = 0.0
    for falls in product(range(5), (True, False), repeat=3):
        places = list(zip(falls[::2], falls[1::2], strict=True))
        chance, canary, reference = 1.0, [0] * 5, [0] * 5
        for level, on_canary in places:
            chance *= levels[level] * (share if on_canary else 1 - share)
            (canary if on_canary else reference)[level] += 1
        mean += chance * evidence(boundary, graded(tuple(canary), share, tuple(reference)))
    assert isclose(mean, 1.0, rel_tol=1e-9)


# --- Steepness ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [0.8, 2.0, 7.5])
def test_the_steepness_of_a_log_logistic_distribution_is_its_shape(shape: float) -> None:
    cuts = tuple(3.0 * (q / (1 - q)) ** (1 / shape) for q in QUANTILES)
    assert steepness(cuts, QUANTILES) == pytest.approx(shape)


def test_the_unit_of_the_values_changes_no_steepness() -> None:
    cuts = (0.4, 0.7, 1.1, 2.5)
    assert steepness(cuts, QUANTILES) == pytest.approx(steepness(tuple(1000 * cut for cut in cuts), QUANTILES))


def test_with_one_cut_times_and_odds_are_the_same() -> None:
    assert steepness((0.7,), (0.75,)) == 1.0


def test_steepness_is_bounded_for_values_that_hardly_spread_and_for_those_that_spread_without_end() -> None:
    assert steepness((1.0, 1.001, 1.002, 1.003), QUANTILES) == 100.0
    assert steepness((1e-6, 1.0, 1e6, 1e12), QUANTILES) == 0.5


def test_the_same_times_as_slow_are_more_odds_where_values_spread_less() -> None:
    slower = graded((40, 25, 20, 10, 5), 0.5, (50, 25, 15, 8, 2))
    gentle, steep = (Fallen(slower.canary, slower.reference, 0.5, RATES, s) for s in (1.0, 4.0))
    # Within a margin of 1.2 times as slow lie odds of 1.2 or of 2.1: only the first makes this canary worse.
    assert evidence(worse_than(1.2, True), gentle) > evidence(worse_than(1.2, True), steep)


# --- One rate against a bound -------------------------------------------------------------------------------------


def above(bound: float, bad: int, total: int) -> float:
    return e_of_rate(above_bound((), bound, bad=bad, total=total))


@settings(deadline=None, max_examples=60)
@given(bound=st.floats(0.001, 0.5), part=st.floats(0.0, 1.0), total=st.integers(1, 40))
def test_a_rate_within_the_budget_gains_no_evidence_of_being_above(bound: float, part: float, total: int) -> None:
    rate = bound * part
    mean = sum(binomial(k, total, rate) * above(bound, k, total) for k in range(total + 1))
    assert mean <= 1 + 1e-9


@settings(deadline=None, max_examples=60)
@given(first=st.floats(0.001, 0.4), then=st.floats(0.001, 0.4), part=st.floats(0.0, 1.0))
def test_a_bound_that_moves_keeps_it_so(first: float, then: float, part: float) -> None:
    def after(bad: int, bad_then: int) -> float:
        return e_of_rate(above_bound(above_bound((), first, bad=bad, total=5), then, bad=bad_then, total=7))

    mean = sum(
        binomial(a, 5, first * part) * binomial(b, 7, then * part) * after(a, b) for a in range(6) for b in range(8)
    )
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
        assert above(0.05, bad, 20) <= above(0.05, bad + 1, 20)


def test_outcomes_one_by_one_are_the_same_as_at_once() -> None:
    points: tuple[float, ...] = ()
    for bad in (0, 1, 0, 0, 1):
        points = above_bound(points, 0.05, bad=bad, total=1)
    assert points == pytest.approx(above_bound((), 0.05, bad=2, total=5))


def test_a_single_good_outcome_by_hand() -> None:
    rates = [0.0, *(f * 0.03 for f in (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95))]
    assert isclose(e_rate_below(0.03, bad=0, total=1), sum((1 - r) / 0.97 for r in rates) / 8, rel_tol=1e-12)


def test_nothing_seen_says_nothing_of_a_rate() -> None:
    assert e_of_rate(()) == above(0.05, 0, 0) == 1
    assert e_rate_below(0.03, bad=0, total=0) == pytest.approx(1)


def test_evidence_beyond_any_float_is_a_number_that_json_can_hold() -> None:
    assert 1e300 < above(0.01, 5000, 5000) < inf
    far = observe(Profile(), worse_than(1.0, False), yes_no(100_000, 0, 0.01))
    assert 1e300 < e_value(far, 1) < inf
    assert evidence(worse_than(1.0, False), yes_no(0, 100_000, 0.5)) < 1e-6
    # What went beyond it can be brought back by later data: the points themselves stay finite.
    back = observe(far, worse_than(1.0, False), yes_no(0, 50_000_000, 0.01))
    assert e_value(back, 1) < 1
