"""Suites at a scale: rates and users over time are the spec's, whatever bends and bursts they have."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.adapters.spec_file import load_spec
from ops.loadtest.plan import Rate
from ops.loadtest.suites import OPEN_USERS, Scale, Shape, shape
from ops.spec.loadtest import Bursts, Stage, Swing
from ops.spec.model import Spec

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec(ROOT / "gratefulgpt.yaml")


def requests(rates: tuple[Rate, ...]) -> float:
    return sum(rate.seconds * (rate.start + rate.end) / 2 for rate in rates)


def of(*stages: Stage, arrivals: str = "poisson", full: float = 100.0, time: float = 1.0) -> Shape:
    return Shape("suite", arrivals, stages, full, 1000.0, time)


def test_every_suite_of_the_spec_reaches_what_it_says_at_full_scale_and_its_part_below(spec: Spec) -> None:
    for name, suite in spec.load.suites.items():
        full, tenth = (shape(name, suite, spec.targets, Scale(load)) for load in (1.0, 0.1))
        assert full.seconds == tenth.seconds == sum(stage.seconds for stage in suite.stages)
        assert requests(tenth.rates()) == pytest.approx(requests(full.rates()) / 10)
        assert [phase.name for phase in full.phases()] == [stage.name for stage in suite.stages]
        if full.closed:
            assert full.users(full.seconds - 1) == 5000
            assert tenth.users(full.seconds - 1) == 500
        else:
            assert full.users(0) == OPEN_USERS
    stress = shape("stress", spec.load.suites["stress"], spec.targets, Scale())
    assert max(rate.end for rate in stress.rates()) == 2000


def test_users_who_stay_connected_hold_a_connection_each_once_they_have_asked() -> None:
    warm = Stage(name="warm-up", seconds=10, from_percent=0, percent=50, measured=False)
    steady = Stage(name="steady", seconds=60, percent=50)
    # 1,000 users, of whom half are there; the warm-up's 250 requests connect 250 of them, the measured ones nobody.
    assert of(warm, steady).connections_held(1.0) == 250
    assert of(warm, steady, full=400.0).connections_held(1.0) == 500
    assert of(warm, steady, full=400.0).connections_held(0.5) == 250
    assert of(steady, warm).connections_held(1.0) == 0
    assert of(warm, steady, arrivals="users").connections_held(1.0) == 500
    over = Stage(name="over", seconds=60, percent=200)
    assert of(warm, over, full=1000.0).connections_held(1.0) == 1000
    assert of(warm, steady).connections_held(1.0) <= of(warm, steady).connections(1.0)


def test_a_stage_goes_in_a_straight_line_from_where_it_begins() -> None:
    (rate,) = of(Stage(name="up", seconds=10, from_percent=0, percent=50)).rates()
    assert (rate.seconds, rate.start, rate.end) == (10, 0, 50)
    closed = of(Stage(name="up", seconds=10, from_percent=0, percent=50), arrivals="users")
    assert [closed.users(at) for at in (0, 5, 20)] == [1, 250, 500]
    assert not closed.rates()


def test_a_swing_brings_as_many_requests_as_the_stage_without_it() -> None:
    plain = Stage(name="day", seconds=240, percent=50)
    swung = of(plain.model_copy(update={"swing": Swing(percent=80, seconds=120)})).rates()
    assert requests(swung) == pytest.approx(requests(of(plain).rates()))
    assert max(rate.start for rate in swung) == pytest.approx(90)
    assert min(rate.start for rate in swung) == pytest.approx(10)


def test_bursts_multiply_the_rate_for_as_long_as_they_last() -> None:
    bursts = Bursts(times=8, seconds=2, every_seconds=20)
    rates = of(Stage(name="b", seconds=50, percent=10, bursts=bursts), time=0.5).rates()
    assert [(rate.seconds, rate.start, rate.end) for rate in rates] == [
        (1, 80, 80), (9, 10, 10), (1, 80, 80), (9, 10, 10), (1, 80, 80), (4, 10, 10),
    ]  # fmt: skip


@settings(deadline=None)  # thousands of bends, on a machine that others keep busy
@given(
    seconds=st.floats(1, 1000),
    percent=st.floats(0, 300),
    start=st.none() | st.floats(0, 300),
    swing=st.none() | st.builds(lambda p, s: Swing(percent=p, seconds=s), st.floats(1, 100), st.floats(1, 500)),
    bursts=st.none() | st.builds(lambda s: Bursts(times=8, seconds=s, every_seconds=3 * s), st.floats(1, 50)),
    time=st.floats(0.01, 10),
)  # fmt: skip
def test_rates_fill_the_stage_and_are_never_negative(seconds, percent, start, swing, bursts, time) -> None:  # type: ignore[no-untyped-def]
    stage = Stage(name="any", seconds=seconds, percent=percent, from_percent=start, swing=swing, bursts=bursts)
    rates = of(stage, time=time).rates()
    assert sum(rate.seconds for rate in rates) == pytest.approx(seconds * time)
    assert all(rate.start >= -1e-9 and rate.end >= -1e-9 and rate.seconds > 0 for rate in rates)
