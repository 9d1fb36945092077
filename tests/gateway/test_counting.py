"""What is counted, and when it becomes certain."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.contract import FINE_BOUNDS, Arm, BadEvent, ClassConfig, CounterCell, Levels, Objective
from serving.gateway.counting import Counters
from serving.gateway.exchange import Exchange, Stop, deadlines
from serving.gateway.scanning import Usage

LIMITS = ClassConfig(2.0, 30.0, first_token_target_seconds=0.5, token_interval_target_seconds=0.1)
LEVELS: Levels = {
    BadEvent.SLOW: (0.25, 0.5),
    BadEvent.SLOW_FIRST_TOKEN: (0.0625, 0.125),
    BadEvent.SLOW_TOKENS: (0.0625,),
    BadEvent.OUTPUT_LENGTH: (10.0, 20.0, 40.0),
}
"""Sums of powers of two, so that a value can lie exactly at a cut."""
KEY = ("production", Arm.CANARY, 7, "generation", "p0o0")
SLOW, FIRST, TOKENS, LENGTH = BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS, BadEvent.OUTPUT_LENGTH


class Clock:
    def __init__(self) -> None:
        self.now = 1_024.0

    def __call__(self) -> float:
        return self.now


Made = tuple[Exchange, Clock]


@pytest.fixture
def counters(tools: Any) -> Counters:
    return Counters(tools.config())


@pytest.fixture
def exchange(tools: Any, counters: Counters) -> Callable[..., Made]:
    def make(
        streamed: bool = False, synthetic: bool = False, levels: Levels = LEVELS, key: Any = KEY, into: Any = counters
    ) -> Made:
        clock = Clock()
        found = Exchange(tools.config().tasks[0], "id", synthetic, into, clock)
        found.streamed = streamed
        found.assign(Arm.CANARY, "r2", key, LIMITS, levels)
        return found, clock

    return make


def the_cell(counters: Counters) -> CounterCell:
    (cell,) = counters.snapshot("w", "i", 0.0).cells
    return cell


def measured(counters: Counters) -> dict[BadEvent, int]:
    """How many values of each event were recorded."""
    found = counters.snapshot("w", "i", 0.0).measured
    return {event: sum(counts) for cell in found for event, counts in cell.counts.items()}


def test_deadlines_come_in_order_and_streams_have_two_more() -> None:
    assert deadlines(LIMITS, True, 0.5, 0.1) == (
        (30.0, None),
        (2.0, BadEvent.OVER_TARGET),
        (0.5, Objective.FIRST_TOKEN),
        (0.5, BadEvent.SLOW),
        (0.1, BadEvent.SLOW_FIRST_TOKEN),
    )
    assert len(deadlines(LIMITS, False, 0.5, None)) == 3
    assert len(deadlines(LIMITS, False, None, None)) == 2


@pytest.mark.parametrize(
    ("seconds", "levels", "bad"),
    [
        (0.0, (1, 0, 0), {}),
        (0.25, (1, 0, 0), {}),
        (0.2500001, (0, 1, 0), {}),
        (0.5, (0, 1, 0), {}),
        (0.5000001, (0, 0, 1), {}),
        (2.0, (0, 0, 1), {}),
        (2.5, (0, 0, 1), {BadEvent.OVER_TARGET: 1}),
    ],
)
async def test_an_answer_lies_on_one_level_and_a_value_at_a_cut_below_it(
    exchange: Any, counters: Counters, seconds: float, levels: tuple[int, ...], bad: dict[BadEvent, int]
) -> None:
    found, clock = exchange()
    clock.now += seconds
    found.whole = True
    found.finish()
    cell = the_cell(counters)
    assert (cell.assigned, cell.finished, cell.streamed, cell.bad) == (1, 1, 0, bad)
    assert cell.levels == {SLOW: levels, FIRST: (0, 0, 0), TOKENS: (0, 0), LENGTH: (0, 0, 0, 0)}
    assert measured(counters) == {SLOW: 1}


async def test_a_first_token_is_on_its_level_as_soon_as_it_is_there(exchange: Any, counters: Counters) -> None:
    for seconds, counts in ((0.03, (1, 0, 0)), (0.125, (1, 1, 0)), (0.2, (1, 1, 1))):
        found, clock = exchange(streamed=True)
        clock.now += seconds
        found.content_came()
        assert the_cell(counters).levels[FIRST] == counts
        found.stopped = Stop.CLIENT_LEFT
        found.finish()
    cell = the_cell(counters)
    assert (cell.streamed, cell.levels[FIRST], cell.levels[SLOW]) == (3, (1, 1, 1), (0, 0, 0))
    assert measured(counters) == {}


@pytest.mark.parametrize(
    ("first", "last", "tokens", "interval_counts", "length_counts"),
    [
        (0.0, 0.25, 5, (1, 0), (1, 0, 0, 0)),  # 0.0625 each: at the cut
        (0.0, 0.5, 5, (0, 1), (1, 0, 0, 0)),
        (0.0, 0.5, 1, (0, 0), (1, 0, 0, 0)),  # no time between one token
        (0.0, 0.5, 0, (0, 0), (1, 0, 0, 0)),
        (0.0, 0.5, 41, (1, 0), (0, 0, 0, 1)),
        (0.0, 0.5, 40, (1, 0), (0, 0, 1, 0)),
        (0.0, 0.5, None, (0, 0), (0, 0, 0, 0)),  # the engine told no usage
        (None, 0.5, 12, (0, 0), (0, 1, 0, 0)),  # no content: nothing to measure from
    ],
)
async def test_tokens_are_measured_of_whole_streams_that_tell_their_usage(
    exchange: Any,
    counters: Counters,
    first: float | None,
    last: float,
    tokens: int | None,
    interval_counts: tuple[int, ...],
    length_counts: tuple[int, ...],
) -> None:
    found, clock = exchange(streamed=True)
    if first is not None:
        clock.now += first
        found.content_came()
    clock.now += last
    found.usage = None if tokens is None else Usage(3, tokens, 3 + tokens)
    found.whole = True
    found.finish()
    levels = the_cell(counters).levels
    assert (levels[TOKENS], levels[LENGTH]) == (interval_counts, length_counts)
    assert measured(counters).get(TOKENS, 0) == sum(interval_counts)
    assert measured(counters).get(LENGTH, 0) == sum(length_counts)


async def test_a_whole_answer_that_is_no_stream_has_a_length_alone(exchange: Any, counters: Counters) -> None:
    found, clock = exchange()
    clock.now += 0.1
    found.usage, found.whole = Usage(3, 15, 18), True
    found.finish()
    levels = the_cell(counters).levels
    assert (levels[LENGTH], levels[TOKENS], levels[FIRST]) == ((0, 1, 0, 0), (0, 0), (0, 0, 0))


@pytest.mark.parametrize("event", [BadEvent.FAILED, BadEvent.CUT, BadEvent.UNANSWERED])
async def test_what_never_came_is_on_the_last_levels_and_is_not_measured(
    exchange: Any, counters: Counters, event: BadEvent
) -> None:
    found, clock = exchange(streamed=True)
    clock.now += 0.01
    found.usage = Usage(3, 15, 18)
    found.mark(event)
    found.finish()
    cell = the_cell(counters)
    assert cell.levels == {SLOW: (0, 0, 1), FIRST: (0, 0, 1), TOKENS: (0, 0), LENGTH: (0, 0, 0, 0)}
    assert (cell.bad, measured(counters)) == ({event: 1}, {})


async def test_an_answer_that_came_whole_but_could_not_be_given_is_on_the_last_level(
    exchange: Any, counters: Counters
) -> None:
    found, _ = exchange()
    found.whole = True
    found.mark(BadEvent.FAILED)
    found.finish()
    assert the_cell(counters).levels[SLOW] == (0, 0, 1)


@pytest.mark.parametrize("why", ["client left", "client erred"])
@pytest.mark.parametrize(("seconds", "levels"), [(0.5, (0, 0, 0)), (0.6, (0, 0, 1))])
async def test_who_leaves_or_errs_is_on_no_level_before_it_was_certain(
    exchange: Any, counters: Counters, why: str, seconds: float, levels: tuple[int, ...]
) -> None:
    found, clock = exchange(streamed=True)
    clock.now += seconds
    if why == "client left":
        found.stopped = Stop.CLIENT_LEFT
    else:
        found.client_erred = True
    found.finish()
    assert the_cell(counters).levels[SLOW] == levels
    assert measured(counters) == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    seconds=st.sampled_from([0.0, 0.0625, 0.1, 0.25, 0.3, 0.5, 0.6, 3.0]),
    content=st.sampled_from([None, 0.0, 0.5, 1.0]),
    outcome=st.sampled_from(["whole", "failed", "cut", "left", "erred", "whole but failed"]),
    streamed=st.booleans(),
    tokens=st.one_of(st.none(), st.integers(0, 60)),
    synthetic=st.booleans(),
)
def test_each_request_is_on_exactly_one_level_or_excused(
    tools: Any,
    exchange: Any,
    seconds: float,
    content: float | None,
    outcome: str,
    streamed: bool,
    tokens: int | None,
    synthetic: bool,
) -> None:
    async def serve() -> Counters:
        counters = Counters(tools.config())
        found, clock = exchange(streamed=streamed, synthetic=synthetic, into=counters)
        if streamed and content is not None:
            clock.now = 1_024.0 + seconds * content
            found.content_came()
        clock.now = 1_024.0 + seconds
        found.whole = outcome.startswith("whole")
        found.usage = None if tokens is None else Usage(1, tokens, 1 + tokens)
        found.client_erred = outcome == "erred"
        if outcome == "left":
            found.stopped = Stop.CLIENT_LEFT
        if "failed" in outcome:
            found.mark(BadEvent.FAILED)
        found.finish()
        return counters

    counters = asyncio.run(serve())
    if synthetic:
        assert not counters.cells
        return
    levels = the_cell(counters).levels
    excused = outcome in ("left", "erred") and seconds <= LEVELS[SLOW][-1]
    assert sum(levels[SLOW]) == (0 if excused else 1)
    if not excused:
        never_came = outcome in ("failed", "cut", "whole but failed")
        assert levels[SLOW][-1 if never_came else bisect_left(LEVELS[SLOW], seconds)] == 1
    assert sum(levels[FIRST]) <= int(streamed)
    assert sum(levels[TOKENS]) <= int(streamed and outcome == "whole")
    assert sum(levels[LENGTH]) == int(outcome == "whole" and tokens is not None)
    assert sum(count for event, count in measured(counters).items() if event is SLOW) == int(outcome == "whole")


async def test_a_cell_without_cuts_counts_no_level_and_measures_all_the_same(exchange: Any, counters: Counters) -> None:
    found, clock = exchange(levels={})
    clock.now += 5.0
    found.whole = True
    found.finish()
    assert (the_cell(counters).levels, measured(counters)) == ({}, {SLOW: 1})


async def test_a_request_is_counted_under_the_cuts_of_the_epoch_that_assigned_it(
    exchange: Any, counters: Counters
) -> None:
    old, old_clock = exchange(levels={SLOW: (10.0,)})
    new, new_clock = exchange(levels={SLOW: (0.1, 0.2)}, key=(*KEY[:2], 8, *KEY[3:]))
    fallback, fallback_clock = exchange(levels={}, key=(*KEY[:2], 0, *KEY[3:]))
    for found, clock in ((new, new_clock), (old, old_clock), (fallback, fallback_clock)):
        clock.now += 1.0
        found.whole = True
        found.finish()
    cells = {cell.epoch: cell.levels for cell in counters.snapshot("w", "i", 0.0).cells}
    assert cells == {7: {SLOW: (1, 0)}, 8: {SLOW: (0, 0, 1)}, 0: {}}


async def test_an_event_is_counted_once_per_request(exchange: Any, counters: Counters) -> None:
    found, _ = exchange()
    found.mark(BadEvent.FAILED)
    found.mark(BadEvent.FAILED)
    found.finish()
    assert the_cell(counters).bad == {BadEvent.FAILED: 1}


async def test_synthetic_traffic_enters_no_cell(exchange: Any, counters: Counters) -> None:
    found, clock = exchange(streamed=True, synthetic=True)
    found.content_came()
    clock.now += 5
    found.mark(BadEvent.FAILED)
    found.finish()
    snapshot = counters.snapshot("w", "i", 0.0)
    assert (snapshot.cells, snapshot.measured) == ((), ())


async def test_a_request_that_hangs_is_on_its_last_levels_while_it_hangs_and_is_given_up(
    tools: Any, counters: Counters
) -> None:
    async def hang() -> Exchange:
        found = Exchange(tools.config().tasks[0], "id", False, counters, asyncio.get_running_loop().time)
        found.streamed = True
        levels: Levels = {SLOW: (0.01, 0.03), FIRST: (0.02,)}
        found.assign(Arm.STABLE, "r1", KEY, ClassConfig(0.05, 0.3, 0.05, 0.1), levels)
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            assert found.stop_was_ours()
        found.finish()
        return found

    running = asyncio.create_task(hang())
    await tools.until(lambda: counters.cells and counters.cells[KEY].bad, "it is over target")
    cell = counters.cells[KEY]
    assert (cell.levels, cell.finished) == ({SLOW: [0, 0, 1], FIRST: [0, 1]}, 0)
    found = await running
    assert found.stopped is Stop.TIMEOUT
    assert (cell.levels, cell.finished) == ({SLOW: [0, 0, 1], FIRST: [0, 1]}, 1)
    assert cell.bad == {BadEvent.OVER_TARGET: 1}


async def test_a_client_that_does_not_read_is_no_timeout_of_the_engine(tools: Any, counters: Counters) -> None:
    async def stall() -> Exchange:
        found = Exchange(tools.config().tasks[0], "id", False, counters, asyncio.get_running_loop().time)
        found.assign(Arm.STABLE, "r1", KEY, ClassConfig(0.01, 0.02, 0.01, 0.1), {})
        found.sending = True
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            assert found.stop_was_ours()
        found.finish()
        return found

    assert (await stall()).stopped is Stop.CLIENT_LEFT


def test_old_epochs_are_dropped_and_the_fallback_is_kept(counters: Counters) -> None:
    for epoch in (0, 1, 2, 3, 4, 5, 6):
        for stratum in ("p0o0", "p1o1"):
            counters.cell(("production", Arm.STABLE, epoch, "query", stratum), {}).assigned += 1
    counters.cell(("edge", Arm.STABLE, 1, "query", "p0o0"), {})
    epochs = sorted({(key[0], key[2]) for key in counters.cells})
    assert epochs == [("edge", 1), *(("production", epoch) for epoch in (0, 3, 4, 5, 6))]


async def test_bounds_of_histograms_are_inclusive_as_prometheus_has_them(exchange: Any, counters: Counters) -> None:
    found, clock = exchange()
    clock.now += 0.5
    found.usage, found.whole = Usage(3, 64, 67), True
    found.finish()
    coarse = counters.coarse["production", Arm.CANARY, "generation"]
    assert coarse[SLOW].counts == [0, 1, 0, 0, 0, 0]
    assert coarse[LENGTH].bounds == (1, 2, 4, 8, 16, 32, 64, 128, 192, 256, 512)  # powers of two, and the tasks' caps
    assert coarse[LENGTH].counts == [0] * 6 + [1] + [0] * 5


async def test_fine_measurements_have_a_count_per_bound_and_one_beyond(exchange: Any, counters: Counters) -> None:
    for tokens in (1, 1_000_000):
        found, clock = exchange(streamed=True)
        found.content_came()
        clock.now += 1_000.0
        found.usage, found.whole = Usage(3, tokens, 3 + tokens), True
        found.finish()
    (found_cell,) = counters.snapshot("w", "i", 0.0).measured
    assert {event: len(counts) for event, counts in found_cell.counts.items()} == {
        event: len(bounds) + 1 for event, bounds in FINE_BOUNDS.items()
    }
    assert (found_cell.counts[SLOW][-1], found_cell.counts[LENGTH][0], found_cell.counts[LENGTH][-1]) == (2, 1, 1)
