"""Arms by weight and session, endpoints by load."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from serving.contract import StrataConfig
from serving.gateway.assigning import choose_arm, choose_endpoint, point_of_session
from serving.gateway.strata import stratum

CHOICES = [(500, "canary"), (1_000, "baseline"), (10_000, "stable")]


@dataclass(eq=False)
class Endpoint:
    name: str
    in_flight: int = 0
    down_until: float = 0.0


@pytest.mark.parametrize(
    ("point", "arm"),
    [(0.0, "canary"), (499.99, "canary"), (500.0, "baseline"), (1_000.0, "stable"), (9_999.99, "stable")],
)
def test_an_arm_gets_the_points_below_its_bound(point: float, arm: str) -> None:
    assert choose_arm(CHOICES, point) == arm


def test_weights_become_shares() -> None:
    rng = random.Random(7)
    counts = Counter(choose_arm(CHOICES, rng.random() * 10_000) for _ in range(40_000))
    assert counts["canary"] == pytest.approx(2_000, rel=0.1)
    assert counts["stable"] == pytest.approx(36_000, rel=0.02)


def test_a_session_keeps_its_place_and_sessions_are_spread_evenly() -> None:
    points = [point_of_session("salt", b"session-%d" % i) for i in range(20_000)]
    assert points[3] == point_of_session("salt", b"session-3")
    assert points[3] != point_of_session("other salt", b"session-3")
    assert all(0 <= point < 10_000 for point in points)
    assert sum(point < 500 for point in points) == pytest.approx(1_000, rel=0.12)


def test_the_least_loaded_endpoint_serves() -> None:
    endpoints = [Endpoint("a", 3), Endpoint("b", 1), Endpoint("c", 2)]
    for chance in (0.0, 0.4, 0.99):
        found = choose_endpoint(endpoints, [], 0.0, chance)
        assert found is not None
        assert found.name == "b"


def test_equal_loads_are_shared_by_chance() -> None:
    endpoints = [Endpoint("a"), Endpoint("b"), Endpoint("c")]
    rng = random.Random(3)
    names = Counter(e.name for _ in range(3_000) if (e := choose_endpoint(endpoints, [], 0.0, rng.random())))
    assert all(count == pytest.approx(1_000, rel=0.15) for count in names.values())


def test_one_that_is_down_or_was_tried_comes_last_but_comes() -> None:
    down, tried = Endpoint("down", 0, down_until=10.0), Endpoint("tried", 0)
    busy = Endpoint("busy", 9)
    assert choose_endpoint([down, tried, busy], [tried], 5.0, 0.0) is busy
    assert choose_endpoint([down, tried], [tried], 5.0, 0.0) is down
    assert choose_endpoint([down], [down], 5.0, 0.0) is down
    assert choose_endpoint([], [], 5.0, 0.0) is None
    assert choose_endpoint([down, busy], [], 10.0, 0.0) is down


@pytest.mark.parametrize(
    ("chars", "tokens", "label"),
    [(0, 1, "p0o0"), (512, 32, "p0o0"), (513, 33, "p1o1"), (4_096, 128, "p1o1"), (4_097, 129, "p2o2")],
)
def test_a_stratum_counts_the_bounds_that_are_exceeded(chars: int, tokens: int, label: str) -> None:
    strata = StrataConfig((512, 4_096), (32, 128))
    assert stratum(strata, chars, tokens) == label
    assert label in strata.labels
