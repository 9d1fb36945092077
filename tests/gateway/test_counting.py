"""What is counted, and when it becomes certain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from serving.contract import Arm, BadEvent, ClassConfig, Threshold
from serving.gateway.counting import Counters
from serving.gateway.exchange import Exchange, Stop, deadlines

LIMITS = ClassConfig(target_seconds=2.0, timeout_seconds=30.0)
THRESHOLD = Threshold(latency_seconds=0.5, first_token_seconds=0.1)
KEY = ("production", Arm.CANARY, 7, "generation", "p0o0")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def counters(tools: Any) -> Counters:
    return Counters(tools.config())


@pytest.fixture
def exchange(tools: Any, counters: Counters) -> Callable[..., tuple[Exchange, Clock]]:
    def make(streamed: bool = False, synthetic: bool = False, **limits: float) -> tuple[Exchange, Clock]:
        clock = Clock()
        found = Exchange(tools.config().tasks[0], "id", synthetic, counters, clock)
        found.streamed = streamed
        config = ClassConfig(**{"target_seconds": 2.0, "timeout_seconds": 30.0, **limits})
        found.assign(Arm.CANARY, "r2", KEY, config, THRESHOLD)
        return found, clock

    return make


def test_deadlines_come_in_order_and_streams_have_one_more() -> None:
    found = deadlines(LIMITS, THRESHOLD, streamed=True)
    assert found == (
        (30.0, None),
        (2.0, BadEvent.OVER_TARGET),
        (0.5, BadEvent.SLOW),
        (0.1, BadEvent.SLOW_FIRST_TOKEN),
    )
    assert len(deadlines(LIMITS, THRESHOLD, streamed=False)) == 3
    assert len(deadlines(LIMITS, None, streamed=True)) == 2


@pytest.mark.parametrize(
    ("seconds", "events"),
    [
        (0.5 - 1e-6, {}),
        (0.6, {BadEvent.SLOW: 1}),
        (2.1, {BadEvent.SLOW: 1, BadEvent.OVER_TARGET: 1}),
    ],
)
async def test_a_finished_request_is_held_against_its_deadlines(
    exchange: Any, counters: Counters, seconds: float, events: dict[BadEvent, int]
) -> None:
    found, clock = exchange()
    clock.now += seconds
    found.finish(complete=True)
    (cell,) = counters.snapshot("w", "i", 0.0).cells
    assert (cell.assigned, cell.finished, cell.streamed, cell.bad) == (1, 1, 0, events)
    (latency,) = counters.snapshot("w", "i", 0.0).latencies
    assert sum(latency.latency_counts) == 1


async def test_a_first_token_is_slow_after_its_threshold_only(exchange: Any, counters: Counters) -> None:
    for seconds in (0.05, 0.2):
        found, clock = exchange(streamed=True)
        clock.now += seconds
        found.content_came()
        clock.now += 0.2
        found.finish(complete=True)
    (cell,) = counters.snapshot("w", "i", 0.0).cells
    assert (cell.streamed, cell.bad) == (2, {BadEvent.SLOW_FIRST_TOKEN: 1})


async def test_an_event_is_counted_once_per_request(exchange: Any, counters: Counters) -> None:
    found, _ = exchange()
    found.mark(BadEvent.FAILED)
    found.mark(BadEvent.FAILED)
    found.finish(complete=False)
    (cell,) = counters.snapshot("w", "i", 0.0).cells
    assert cell.bad == {BadEvent.FAILED: 1}
    (latency,) = counters.snapshot("w", "i", 0.0).latencies
    assert sum(latency.latency_counts) == 0


async def test_synthetic_traffic_enters_no_cell(exchange: Any, counters: Counters) -> None:
    found, clock = exchange(synthetic=True)
    clock.now += 5
    found.mark(BadEvent.FAILED)
    found.finish(complete=True)
    snapshot = counters.snapshot("w", "i", 0.0)
    assert (snapshot.cells, snapshot.latencies) == ((), ())


async def test_a_request_that_hangs_is_slow_while_it_hangs_and_is_given_up(tools: Any, counters: Counters) -> None:
    async def hang() -> Exchange:
        found = Exchange(tools.config().tasks[0], "id", False, counters, asyncio.get_running_loop().time)
        limits = ClassConfig(target_seconds=0.04, timeout_seconds=0.3)
        found.assign(Arm.STABLE, "r1", KEY, limits, Threshold(0.02, 0.01))
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            assert found.stop_was_ours()
        found.finish(complete=False)
        return found

    running = asyncio.create_task(hang())
    await tools.until(lambda: len(counters.cells[KEY].bad) == 2 if counters.cells else False, "it is over target")
    assert not running.done() or counters.cells[KEY].finished
    found = await running
    assert found.stopped is Stop.TIMEOUT
    assert counters.cells[KEY].bad == {BadEvent.SLOW: 1, BadEvent.OVER_TARGET: 1}


async def test_a_client_that_does_not_read_is_no_timeout_of_the_engine(tools: Any, counters: Counters) -> None:
    async def stall() -> Exchange:
        found = Exchange(tools.config().tasks[0], "id", False, counters, asyncio.get_running_loop().time)
        found.assign(Arm.STABLE, "r1", KEY, ClassConfig(0.01, 0.02), None)
        found.sending = True
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            assert found.stop_was_ours()
        found.finish(complete=False)
        return found

    assert (await stall()).stopped is Stop.CLIENT_LEFT


def test_old_epochs_are_dropped_and_the_fallback_is_kept(counters: Counters) -> None:
    for epoch in (0, 1, 2, 3, 4, 5, 6):
        for stratum in ("p0o0", "p1o1"):
            counters.cell(("production", Arm.STABLE, epoch, "query", stratum)).assigned += 1
    counters.cell(("edge", Arm.STABLE, 1, "query", "p0o0"))
    epochs = sorted({(key[0], key[2]) for key in counters.cells})
    assert epochs == [("edge", 1), *(("production", epoch) for epoch in (0, 3, 4, 5, 6))]


async def test_bounds_of_histograms_are_inclusive_as_prometheus_has_them(exchange: Any, counters: Counters) -> None:
    found, clock = exchange()
    clock.now = 1_000.5
    found.finish(complete=True)
    assert counters.coarse["production", Arm.CANARY, "generation"].latency.counts == [0, 1, 0, 0, 0, 0]
