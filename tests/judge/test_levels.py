"""Where levels are cut: quantiles of what was measured before, wider groups or the target where that is too little."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from math import exp
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.judge.levels import cut_levels, levels_of_targets, measured, quantile
from serving.contract import FINE_BOUNDS, Arm, BadEvent, CounterSnapshot, Levels, MeasuredCell

QUANTILES = (0.5, 0.75, 0.9, 0.98)
SECONDS = FINE_BOUNDS[BadEvent.SLOW]
TARGETS = levels_of_targets({"query": 0.8}, ("p0o0", "p1o0"), QUANTILES)


def counted(values: Iterable[float], bounds: tuple[float, ...] = SECONDS) -> tuple[int, ...]:
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    return tuple(counts)


def history(
    seconds: tuple[int, ...],
    arm: Arm = Arm.STABLE,
    tier: str = "production",
    stratum: str = "p0o0",
    event: BadEvent = BadEvent.SLOW,
) -> CounterSnapshot:
    return CounterSnapshot("w1", "a", 0.0, (), (MeasuredCell(tier, arm, "query", stratum, {event: seconds}),))


def cuts(*snapshots: CounterSnapshot) -> dict[str, Levels]:
    found = measured(snapshots, "production", frozenset({Arm.STABLE}))
    return cut_levels(found, TARGETS, quantiles=QUANTILES, history_min=100)["query"]


def lognormal(count: int, median: float = 0.2, sigma: float = 0.5) -> list[float]:
    """The distribution itself, not a sample of it."""
    return [median * exp(NormalDist(0, sigma).inv_cdf((i + 0.5) / count)) for i in range(count)]


def test_no_counts_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no counts"):
        quantile(counted([]), SECONDS, 0.75)


def test_what_lies_above_every_bound_gives_the_last_bound() -> None:
    assert quantile(counted([1e6] * 10), SECONDS, 0.75) == SECONDS[-1]


@pytest.mark.parametrize("fraction", [0.5, 0.75, 0.9, 0.99])
@pytest.mark.parametrize(("median", "sigma"), [(0.02, 0.2), (0.3, 0.5), (1.5, 1.0), (0.45, 0.05)])
def test_a_quantile_read_from_the_bounds_errs_by_under_five_percent(
    median: float, sigma: float, fraction: float
) -> None:
    exact = median * exp(NormalDist(0, sigma).inv_cdf(fraction))
    assert abs(quantile(counted(lognormal(20_000, median, sigma)), SECONDS, fraction) / exact - 1) < 0.05


@given(st.lists(st.floats(0.0011, 90.0), min_size=1, max_size=60), st.data())
def test_whatever_the_latencies_the_error_is_at_most_one_interval(latencies: list[float], data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(latencies)))
    found = quantile(counted(latencies), SECONDS, (rank - 0.5) / len(latencies))
    exact = sorted(latencies)[rank - 1]
    assert exact / 1.1002 <= found <= exact * 1.1002


@pytest.mark.parametrize("event", list(FINE_BOUNDS))
def test_bounds_rise_in_steps_of_about_ten_percent(event: BadEvent) -> None:
    rounded = 1 if event is BadEvent.OUTPUT_LENGTH else 2e-6  # tokens cannot be parted; seconds are told in millionths
    assert all(lower < upper <= 1.1 * lower + rounded for lower, upper in pairwise(FINE_BOUNDS[event]))


def test_levels_are_cut_at_the_quantiles_of_what_was_measured() -> None:
    chance = Random(1)
    latencies = sorted(0.2 * exp(chance.gauss(0, 0.5)) for _ in range(2000))
    found = cuts(history(counted(latencies)))["p0o0"][BadEvent.SLOW]
    assert found == pytest.approx([latencies[int(q * 2000)] for q in QUANTILES], rel=0.05)


def test_each_graded_event_is_cut_by_its_own_measure() -> None:
    tokens = FINE_BOUNDS[BadEvent.OUTPUT_LENGTH]
    lengths = history(counted(lognormal(500, 120.0), tokens), event=BadEvent.OUTPUT_LENGTH)
    found = cuts(history(counted(lognormal(500))), lengths)["p0o0"]
    assert found[BadEvent.OUTPUT_LENGTH][0] == pytest.approx(120, rel=0.05)
    assert found[BadEvent.SLOW][0] == pytest.approx(0.2, rel=0.05)
    assert BadEvent.SLOW_TOKENS not in found


def test_a_stratum_with_little_history_is_cut_as_its_class() -> None:
    short, long = history(counted(lognormal(500))), history(counted(lognormal(99, 4.0)), stratum="p1o0")
    found = cuts(short, long)
    assert found["p1o0"][BadEvent.SLOW][0] < 0.3
    assert cuts(short, long, history(counted([4.0]), stratum="p1o0"))["p1o0"][BadEvent.SLOW][0] > 3


def test_too_little_history_gives_the_target() -> None:
    few = cuts(history(counted([0.2] * 99)))["p0o0"]
    assert few[BadEvent.SLOW] == (0.1, 0.2, 0.4, 0.8)
    assert BadEvent.SLOW_FIRST_TOKEN not in few


def test_workers_histories_are_added() -> None:
    assert cuts(history(counted([0.2] * 60)), history(counted([0.2] * 60)))["p0o0"][BadEvent.SLOW][3] < 0.25


def test_only_the_arms_and_the_tier_asked_for_count() -> None:
    slow = counted([5.0] * 500)
    assert cuts(history(slow, arm=Arm.CANARY)) == TARGETS["query"]
    assert cuts(history(slow, tier="edge")) == TARGETS["query"]


@given(st.lists(st.floats(0.0005, 200.0), min_size=100, max_size=200))
def test_cuts_rise_even_where_all_was_measured_alike(latencies: list[float]) -> None:
    for values in (latencies, [latencies[0]] * 100):
        found = cuts(history(counted(values)))["p0o0"][BadEvent.SLOW]
        assert len(found) == len(QUANTILES)
        assert all(before < after for before, after in pairwise(found))
