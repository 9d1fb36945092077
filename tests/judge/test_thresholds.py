"""When a request counts as slow: quantiles of stable's history, with the target where there is too little of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from math import exp
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops.judge.thresholds import quantile, slow_thresholds

from serving.contract import FINE_BOUNDS_SECONDS, Arm, CounterSnapshot, LatencyCell


def counted(latencies: Iterable[float]) -> tuple[int, ...]:
    counts = [0] * (len(FINE_BOUNDS_SECONDS) + 1)
    for latency in latencies:
        counts[bisect_left(FINE_BOUNDS_SECONDS, latency)] += 1
    return tuple(counts)


def history(latency: tuple[int, ...], arm: Arm = Arm.STABLE, tier: str = "production") -> CounterSnapshot:
    return CounterSnapshot("w1", "a", 0.0, (), (LatencyCell(tier, arm, "query", "p0o0", latency, latency),))


def thresholds(*snapshots: CounterSnapshot) -> dict[str, tuple[float, float]]:
    found = slow_thresholds(
        snapshots,
        tier="production",
        fraction=0.75,
        requests_min=100,
        targets_seconds={"query": 0.5},
        strata=("p0o0", "p1o0"),
    )
    return {stratum: (t.latency_seconds, t.first_token_seconds) for stratum, t in found["query"].items()}


def test_no_counts_have_no_quantile() -> None:
    assert quantile(counted([]), 0.75) is None


def test_what_lies_above_every_bound_gives_the_last_bound() -> None:
    assert quantile(counted([1e6] * 10), 0.75) == FINE_BOUNDS_SECONDS[-1]


@pytest.mark.parametrize("fraction", [0.5, 0.75, 0.9, 0.99])
@pytest.mark.parametrize(("median", "sigma"), [(0.02, 0.2), (0.3, 0.5), (1.5, 1.0), (0.45, 0.05)])
def test_a_quantile_read_from_the_bounds_errs_by_under_five_percent(
    median: float, sigma: float, fraction: float
) -> None:
    # The distribution itself, not a sample, so that the error is the bounds' alone.
    points = [median * exp(NormalDist(0, sigma).inv_cdf((i + 0.5) / 20_000)) for i in range(20_000)]
    exact = median * exp(NormalDist(0, sigma).inv_cdf(fraction))
    found = quantile(counted(points), fraction)
    assert found is not None
    assert abs(found / exact - 1) < 0.05


@given(st.lists(st.floats(0.0011, 90.0), min_size=1, max_size=60), st.data())
def test_whatever_the_latencies_the_error_is_at_most_one_interval(latencies: list[float], data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(latencies)))
    found = quantile(counted(latencies), (rank - 0.5) / len(latencies))
    exact = sorted(latencies)[rank - 1]
    assert found is not None
    assert exact / 1.1002 <= found <= exact * 1.1002


def test_thresholds_are_stables_quantile_where_it_has_a_history() -> None:
    chance = Random(1)
    latencies = [0.2 * exp(chance.gauss(0, 0.5)) for _ in range(1000)]
    latency, first = thresholds(history(counted(latencies)))["p0o0"]
    assert latency == first
    assert latency == pytest.approx(sorted(latencies)[750], rel=0.05)


def test_too_little_history_gives_the_target() -> None:
    assert thresholds(history(counted([0.2] * 99)))["p0o0"] == (0.5, 0.5)
    assert thresholds(history(counted([0.2] * 100)))["p0o0"][0] < 0.25


def test_a_stratum_without_history_gets_the_target() -> None:
    assert thresholds(history(counted([0.2] * 500)))["p1o0"] == (0.5, 0.5)


def test_workers_histories_are_added() -> None:
    assert thresholds(history(counted([0.2] * 60)), history(counted([0.2] * 60)))["p0o0"][0] < 0.25


def test_only_stable_of_the_same_tier_counts() -> None:
    slow = counted([5.0] * 500)
    assert thresholds(history(slow, arm=Arm.CANARY))["p0o0"] == (0.5, 0.5)
    assert thresholds(history(slow, tier="edge"))["p0o0"] == (0.5, 0.5)
