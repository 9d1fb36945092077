"""The driver with a clock of the test's own: stalls, readiness, and who is told of what."""

from __future__ import annotations

import random

from serving.engine.simulated.engine import Engine
from serving.engine.simulated.faulting import Fault
from serving.engine.simulated.planning import plan_completion
from serving.engine.simulated.profile import Faults, Profile
from serving.engine.simulated.protocol import CompletionRequest


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def never() -> None:
    raise AssertionError("the engine crashed")


async def engine_with_request(clock: Clock) -> Engine:
    engine = Engine(Profile(step_jitter=0), clock, never)
    request = CompletionRequest(prompt="hello", max_tokens=100, ignore_eos=True)
    engine.submit(plan_completion(request, engine.model, Fault.NONE, random.Random(0)), streamed=False)
    engine.simulation.advance(clock.now)
    return engine


async def test_a_stall_delays_the_running_step_and_is_no_lost_time() -> None:
    clock = Clock()
    engine = await engine_with_request(clock)
    before = engine.simulation.next_at()
    assert before is not None
    engine.set_faults(Faults(stalled=True))
    clock.now += 50
    engine.set_faults(Faults())
    after = engine.simulation.next_at()
    assert after is not None
    assert abs(after - before - 50) < 1e-9
    engine.simulation.advance(clock.now + 0.1)
    assert engine.simulation.lost_seconds == 0


async def test_a_slowdown_holds_from_the_next_step_on() -> None:
    clock = Clock()
    engine = await engine_with_request(clock)
    running = engine.simulation.next_at()
    engine.set_faults(Faults(slowdown=10.0))
    assert engine.simulation.next_at() == running
    assert running is not None
    engine.simulation.advance(running)
    after = engine.simulation.next_at()
    assert after is not None
    assert abs(after - running - 10 * 0.002408) < 1e-6


async def test_readiness_comes_back_by_itself() -> None:
    clock = Clock()
    engine = Engine(Profile(), clock, never)
    assert engine.ready
    engine.set_faults(Faults(cold_start_seconds=5))
    assert not engine.ready
    clock.now += 5
    assert engine.ready


async def test_faults_of_requests_repeat_with_the_seed_whatever_is_produced_between() -> None:
    met = []
    for advance in (False, True):
        clock = Clock()
        engine = await engine_with_request(clock)
        engine.set_faults(Faults(error_rate=0.5))
        drawn = []
        for _ in range(20):
            if advance:
                clock.now += 0.01
                engine.simulation.advance(clock.now)
                engine.request_chance(None).random()
            drawn.append(engine.meet_fault())
        met.append(drawn)
    assert met[0] == met[1]
