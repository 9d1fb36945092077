"""What is promised to requests, and when a miss of it is certain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from serving.contract import Arm, BadEvent, ClassConfig, Objective
from serving.gateway.counting import Counters
from serving.gateway.exchange import Exchange, Stop
from serving.gateway.objectives import ObjectiveCounts
from serving.gateway.scanning import Usage

LIMITS = ClassConfig(2.0, 30.0, first_token_target_seconds=0.5, token_interval_target_seconds=0.125)
KEY = ("production", Arm.STABLE, 1, "generation", "p0o0")
AVAILABILITY, LATENCY, GOODPUT = Objective.AVAILABILITY, Objective.LATENCY, Objective.GOODPUT
FIRST_TOKEN, TOKEN_INTERVAL = Objective.FIRST_TOKEN, Objective.TOKEN_INTERVAL


class Clock:
    def __init__(self) -> None:
        self.now = 1_024.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def counters(tools: Any) -> Counters:
    return Counters(tools.config())


Make = Callable[..., tuple[Exchange, Clock]]


@pytest.fixture
def arrive(tools: Any, counters: Counters) -> Make:
    def make(streamed: bool = False, synthetic: bool = False, assigned: bool = True) -> tuple[Exchange, Clock]:
        clock = Clock()
        found = Exchange(tools.config().tasks[0], "id", synthetic, counters, clock)
        found.tier, found.streamed = "production", streamed
        if assigned:
            found.assign(Arm.STABLE, "r1", KEY, LIMITS, {})
        return found, clock

    return make


def of(counters: Counters) -> ObjectiveCounts:
    return counters.objectives["production", "generation"]


def missed(counters: Counters) -> set[Objective]:
    misses = of(counters).misses
    assert set(misses.values()) <= {0, 1}
    return {objective for objective, count in misses.items() if count}


def test_every_objective_and_ungraded_event_of_every_class_stands_at_0_from_the_start(
    counters: Counters, tools: Any
) -> None:
    config = tools.config()
    assert set(counters.objectives) == {(tier, name) for tier in config.tiers for name in config.classes}
    for counts in counters.objectives.values():
        assert dict(counts.owed()) == counts.misses == dict.fromkeys(Objective, 0)
        assert counts.events[BadEvent.FAILED] == 0
        assert BadEvent.SLOW not in counts.events


async def test_a_good_answer_is_owed_and_misses_nothing(arrive: Make, counters: Counters) -> None:
    found, clock = arrive()
    clock.now += 2.0
    found.whole = True
    found.finish()
    assert dict(of(counters).owed()) == {AVAILABILITY: 1, LATENCY: 1, FIRST_TOKEN: 0, TOKEN_INTERVAL: 0, GOODPUT: 1}
    assert missed(counters) == set()


@pytest.mark.parametrize("event", [BadEvent.FAILED, BadEvent.UNANSWERED, BadEvent.CUT])
async def test_no_answer_misses_availability_and_latency_once(
    arrive: Make, counters: Counters, event: BadEvent
) -> None:
    found, clock = arrive()
    found.mark(event)
    found.mark(BadEvent.FAILED)
    clock.now += 9
    found.finish()
    assert missed(counters) == {AVAILABILITY, LATENCY, GOODPUT}
    assert of(counters).events[BadEvent.OVER_TARGET] == 1


async def test_a_late_answer_misses_latency_as_soon_as_it_is_late(arrive: Make, counters: Counters) -> None:
    found, clock = arrive()
    clock.now += 2.5
    found._on_timer()
    assert missed(counters) == {LATENCY, GOODPUT}
    found.whole = True
    found.finish()
    assert missed(counters) == {LATENCY, GOODPUT}


@pytest.mark.parametrize(("first", "expected"), [(0.5, set()), (0.75, {FIRST_TOKEN, GOODPUT})])
async def test_a_first_token_misses_over_its_target(
    arrive: Make, counters: Counters, first: float, expected: set[Objective]
) -> None:
    found, clock = arrive(streamed=True)
    clock.now += first
    found.content_came()
    clock.now += 0.5
    found.whole = True
    found.finish()
    assert missed(counters) == expected
    assert dict(of(counters).owed()) == dict.fromkeys(Objective, 1)


@pytest.mark.parametrize(("interval", "expected"), [(0.125, set()), (0.25, {TOKEN_INTERVAL, GOODPUT})])
async def test_tokens_miss_over_their_target(
    arrive: Make, counters: Counters, interval: float, expected: set[Objective]
) -> None:
    found, clock = arrive(streamed=True)
    clock.now += 0.25
    found.content_came()
    clock.now += 3 * interval
    found.usage = Usage(5, 4)
    found.whole = True
    found.finish()
    assert missed(counters) == expected


@pytest.mark.parametrize(("content", "expected"), [(False, set(Objective)), (True, set(Objective) - {FIRST_TOKEN})])
async def test_a_stream_that_failed_misses_its_tokens_too(
    arrive: Make, counters: Counters, content: bool, expected: set[Objective]
) -> None:
    found, clock = arrive(streamed=True)
    clock.now += 0.25
    if content:
        found.content_came()
    found.mark(BadEvent.FAILED)
    found.finish()
    assert missed(counters) == expected


async def test_a_client_that_left_in_time_missed_nothing(arrive: Make, counters: Counters) -> None:
    found, clock = arrive()
    clock.now += 1
    found.stopped = Stop.CLIENT_LEFT
    found.mark(BadEvent.ABANDONED)
    found.finish()
    assert (missed(counters), of(counters).requests) == (set(), 1)
    assert of(counters).events[BadEvent.ABANDONED] == 1


async def test_what_the_client_did_wrong_is_no_miss(arrive: Make, counters: Counters) -> None:
    found, clock = arrive(streamed=True)
    clock.now += 1
    found.client_erred = True
    found.mark(BadEvent.REFUSED)
    found.finish()
    assert (missed(counters), of(counters).requests) == (set(), 1)


async def test_a_request_turned_away_misses_all_that_it_was_owed(arrive: Make, counters: Counters) -> None:
    found, _ = arrive(assigned=False)
    found.turned_away()
    found.finish()
    assert (missed(counters), of(counters).requests) == ({AVAILABILITY, LATENCY, GOODPUT}, 1)


@pytest.mark.parametrize(
    ("waited", "requests", "expected"),
    [(0.25, 0, set()), (1.0, 1, {FIRST_TOKEN, GOODPUT}), (2.5, 1, {FIRST_TOKEN, LATENCY, GOODPUT})],
)
async def test_a_client_that_left_the_line_counts_from_its_deadline_on(
    arrive: Make, counters: Counters, waited: float, requests: int, expected: set[Objective]
) -> None:
    found, clock = arrive(streamed=True, assigned=False)
    clock.now += waited
    found.left_in_line(LIMITS)
    found.finish()
    assert (missed(counters), of(counters).requests) == (expected, requests)


async def test_synthetic_traffic_is_owed_nothing(arrive: Make, counters: Counters) -> None:
    for assigned in (True, False):
        found, clock = arrive(streamed=True, synthetic=True, assigned=assigned)
        clock.now += 60
        if assigned:
            found.mark(BadEvent.FAILED)
        else:
            found.turned_away()
            found.left_in_line(LIMITS)
        found.finish()
    counts = of(counters)
    assert (counts.requests, counts.streams, missed(counters), set(counts.events.values())) == (0, 0, set(), {0})
