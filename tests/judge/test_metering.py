"""The traffic that there is: rate and mix from two readings, spreads from what was measured."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pytest

from ops.judge.metering import metered
from serving.contract import FINE_BOUNDS, Arm, BadEvent, CounterCell, CounterSnapshot, MeasuredCell

TIER = "production"


def _cell(
    task_class: str, assigned: int, *, failed: int = 0, tier: str = TIER, arm: Arm = Arm.STABLE, epoch: int = 3
) -> CounterCell:
    bad = {BadEvent.FAILED: failed}
    return CounterCell(tier, arm, epoch, task_class, "p0o0", assigned, assigned, assigned // 2, bad)


def _snapshot(
    at: float, *cells: CounterCell, worker: str = "w1", instance: str = "a", measured: tuple[MeasuredCell, ...] = ()
) -> CounterSnapshot:
    return CounterSnapshot(worker, instance, at, cells, measured)


def _measured(event: BadEvent, median: float, sigma: float) -> MeasuredCell:
    counts = [0] * (len(FINE_BOUNDS[event]) + 1)
    for value in median * np.exp(np.random.default_rng(1).normal(0.0, sigma, 4000)):
        counts[bisect_left(FINE_BOUNDS[event], value)] += 1
    return MeasuredCell(TIER, Arm.STABLE, "query", "p0o0", {event: tuple(counts)})


def test_rate_and_mix_are_the_difference_of_two_readings_over_all_arms_of_the_tier() -> None:
    older = [_snapshot(100.0, _cell("query", 50), _cell("completion", 10))]
    canary = _cell("completion", 100, arm=Arm.CANARY)
    newer = [_snapshot(200.0, _cell("query", 350), _cell("completion", 10), canary, _cell("query", 9, tier="edge"))]
    found = metered([older, newer], TIER, {"query": 7.0}, 20)
    assert (found.seconds, found.requests) == (100.0, 400)
    assert found.traffic is not None
    assert found.traffic.requests_per_second == pytest.approx(4.0)
    assert {cell.name: cell.share for cell in found.traffic.cells} == {"query/p0o0": 0.75, "completion/p0o0": 0.25}
    assert next(cell for cell in found.traffic.cells if cell.name == "query/p0o0").timeout_seconds == 7.0


def test_spread_and_middle_are_read_from_what_was_measured() -> None:
    measured = (_measured(BadEvent.SLOW_FIRST_TOKEN, 0.3, 0.8), _measured(BadEvent.SLOW_TOKENS, 0.02, 0.25))
    newer = [_snapshot(200.0, _cell("query", 500), measured=measured)]
    traffic = metered([[_snapshot(100.0)], newer], TIER, {}, 20).traffic
    assert traffic is not None
    (cell,) = traffic.cells
    assert (cell.first_token_seconds, cell.token_seconds) == (pytest.approx(0.3, rel=0.1), pytest.approx(0.02, rel=0.1))
    assert np.hypot(traffic.first_token_sigma, traffic.load_sigma) == pytest.approx(0.8, rel=0.1)
    assert np.hypot(traffic.token_sigma, traffic.load_sigma) == pytest.approx(0.25, rel=0.1)


def test_a_worker_that_was_restarted_makes_the_rate_too_low_and_never_too_high() -> None:
    older = [_snapshot(100.0, _cell("query", 1000)), _snapshot(100.0, _cell("query", 0), worker="w2")]
    newer = [_snapshot(200.0, _cell("query", 30), instance="b"), _snapshot(200.0, _cell("query", 100), worker="w2")]
    assert metered([older, newer], TIER, {}, 20).requests == 130


def test_cells_of_old_epochs_that_a_worker_dropped_do_not_make_the_rate_too_low() -> None:
    first = [_snapshot(100.0, _cell("query", 900, epoch=1), _cell("query", 100, epoch=2))]
    then = [_snapshot(110.0, _cell("query", 950, epoch=1), _cell("query", 150, epoch=2))]
    last = [_snapshot(120.0, _cell("query", 200, epoch=2), _cell("query", 50, epoch=3))]
    assert metered([first, then, last], TIER, {}, 20).requests == 50 + 50 + 50 + 50


def test_a_reading_without_a_worker_is_made_good_by_the_next() -> None:
    first, last = [_snapshot(100.0, _cell("query", 900))], [_snapshot(120.0, _cell("query", 940))]
    assert metered([first, [], last], TIER, {}, 20).requests == 40


def test_without_a_request_there_is_no_traffic_to_imagine() -> None:
    same = [_snapshot(100.0, _cell("query", 5))]
    found = metered([same, [_snapshot(160.0, _cell("query", 5))]], TIER, {}, 20)
    assert (found.requests, found.seconds, found.traffic) == (0, 60.0, None)


def test_a_single_reading_has_no_duration_and_tells_no_rate() -> None:
    one = [_snapshot(100.0, _cell("query", 500))]
    assert metered([one, one], TIER, {}, 20).traffic is None
