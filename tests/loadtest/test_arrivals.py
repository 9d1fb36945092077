"""When requests are due: as many as the shape says, whatever it looks like and however many generators share it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.loadtest.arrivals import Process, Segment, arrivals

RATES = st.floats(0, 50)
SHAPES = st.lists(st.builds(Segment, st.floats(0.1, 20), RATES, RATES), min_size=1, max_size=5)


def due_by(shape: list[Segment], seconds: float) -> float:
    """By small steps, not by the formula under test."""
    total, steps = 0.0, 2000
    for segment in shape:
        inside = min(max(seconds, 0.0), segment.seconds)
        for i in range(steps):
            part = (i + 0.5) / steps * inside / segment.seconds
            total += (segment.start + (segment.end - segment.start) * part) * inside / steps
        seconds -= segment.seconds
    return total


@given(SHAPES, st.integers(0, 99))
def test_evenly_spaced_arrivals_follow_the_shape_to_the_request(shape, seed):
    times = list(arrivals(shape, Process.CONSTANT, Random(seed)))
    assert times == sorted(times)
    assert all(0 <= at <= sum(segment.seconds for segment in shape) + 1e-6 for at in times)
    assert abs(len(times) - sum(segment.requests for segment in shape)) <= 1
    for i, at in list(enumerate(times))[:: max(1, len(times) // 5)]:
        assert i - 0.01 <= due_by(shape, at) <= i + 1.01


@given(SHAPES, st.integers(0, 99), st.floats(0.05, 1))
def test_a_share_gives_its_part(shape, seed, share):
    times = list(arrivals(shape, Process.CONSTANT, Random(seed), share))
    assert abs(len(times) - share * sum(segment.requests for segment in shape)) <= 1


@given(SHAPES, st.integers(0, 99), st.floats(0, 30))
def test_arrivals_drawn_anew_begin_where_they_are_to(shape, seed, since):
    for process in Process:
        times = list(arrivals(shape, process, Random(seed), since_seconds=since))
        assert all(at >= since - 1e-6 for at in times)
    constant = list(arrivals(shape, Process.CONSTANT, Random(seed), since_seconds=since))
    left = sum(segment.requests for segment in shape) - due_by(shape, since)
    assert abs(len(constant) - left) <= 1.01


def test_a_changing_share_neither_adds_nor_loses_requests():
    shape, chance, totals = [Segment(100, 40, 40)], Random(5), []
    for process in Process:
        total, since, shares = 0, 0.0, 0.0
        while since < 100:
            share, until = chance.uniform(0.1, 1), since + chance.uniform(0.01, 0.4)
            total += sum(at < until for at in _first(arrivals(shape, process, chance, share, since), until))
            shares += share * (min(until, 100) - since)
            since = until
        totals.append(total / (40 * shares))
    assert totals == [pytest.approx(1, abs=0.08)] * 2


def _first(times, until: float) -> list[float]:
    found = []
    for at in times:
        if at >= until:
            break
        found.append(at)
    return found


def test_poisson_arrivals_are_as_many_in_the_mean_as_the_ramp_says():
    shape = [Segment(50, 0, 100), Segment(10, 0, 0), Segment(50, 100, 0)]
    times = list(arrivals(shape, Process.POISSON, Random(2)))
    assert len(times) == pytest.approx(5000, rel=0.05)
    assert not [at for at in times if 50.0001 < at < 59.9999]
    assert sum(at < 25 for at in times) == pytest.approx(625, rel=0.15)


def test_generators_that_share_a_rate_do_not_march_in_step():
    first = {round(next(arrivals([Segment(10, 1, 1)], Process.CONSTANT, Random(seed), 0.5)), 3) for seed in range(20)}
    assert len(first) == 20
