"""The engine in virtual time: what a step costs, when tokens come, and what happens when time runs away."""

from __future__ import annotations

import random

import pytest

from serving.engine.simulated.metrics import Metrics
from serving.engine.simulated.scheduler import Limits
from serving.engine.simulated.sequence import FinishReason, Sequence
from serving.engine.simulated.simulation import LAG_SECONDS_MAX, STEPS_PER_ADVANCE_MAX, Cost, Simulation


def simulation(slowdown: float = 1.0, jitter: float = 0.0, seed: int = 0, seqs: int = 8) -> Simulation:
    return Simulation(
        Limits(kv_blocks=64, block_size=16, max_num_seqs=seqs, max_num_batched_tokens=64, prefix_caching=True),
        Cost(base_seconds=0.010, sequence_seconds=0.001, prefill_token_seconds=0.0005, jitter=jitter),
        random.Random(seed),
        Metrics(1024),
        slowdown=slowdown,
    )


def sequence(prompt: int = 20, output: int = 5, arrival: float = 0.0, interval: int = 0) -> Sequence:
    return Sequence(prompt, output, FinishReason.LENGTH, arrival, event_interval=interval)


def run(sim: Simulation, until: float, tick: float = 0.001) -> None:
    for index in range(int(until / tick) + 1):
        sim.advance(index * tick)


def test_the_first_token_comes_after_the_prefill_and_the_others_after_each_step() -> None:
    sim, one = simulation(), sequence()
    sim.submit(one)
    run(sim, 1.0)
    assert one.first_token_at == pytest.approx(0.010 + 20 * 0.0005)
    assert sim.metrics.end_to_end.total == pytest.approx(0.020 + 4 * 0.011)
    assert sim.metrics.inter_token.counts[0] == 0
    assert sum(sim.metrics.inter_token.counts) == 4


def test_a_larger_batch_makes_each_step_longer_and_the_whole_faster() -> None:
    ends = {}
    for count in (1, 4):
        sim = simulation()
        batch = [sequence(prompt=1, output=50) for _ in range(count)]
        for one in batch:
            sim.submit(one)
        run(sim, 5.0)
        ends[count] = max(one.last_token_at for one in batch)
    assert ends[1] < ends[4] < 4 * ends[1]


def test_the_slowdown_stretches_every_step() -> None:
    ends = []
    for slowdown in (1.0, 1.5):
        sim, one = simulation(slowdown), sequence()
        sim.submit(one)
        run(sim, 1.0)
        ends.append(one.last_token_at)
    assert ends[1] == pytest.approx(1.5 * ends[0])


def test_what_happened_does_not_depend_on_how_often_one_looks() -> None:
    ends = []
    for tick in (0.0005, 0.007, 0.05):
        sim = simulation(jitter=0.2)
        batch = [sequence(prompt=10 + 7 * index, output=6, arrival=0.0031 * index) for index in range(6)]
        for one in batch:
            sim.submit(one)
        run(sim, 2.0, tick)
        ends.append([one.last_token_at for one in batch])
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0] == pytest.approx(ends[2])


def test_a_step_in_progress_ends_before_a_newcomer_starts() -> None:
    sim = simulation()
    first, late = sequence(prompt=1, output=50), sequence(prompt=1, output=1, arrival=0.0150)
    sim.submit(first)
    sim.submit(late)
    run(sim, 1.0)
    # First: prefill until 10.5 ms, then steps of 11 ms; the newcomer starts at 21.5 ms.
    assert late.scheduled_at == pytest.approx(0.0215)


def test_an_idle_engine_starts_when_the_request_arrives() -> None:
    sim, one = simulation(), sequence(arrival=3.2)
    assert sim.next_at() is None
    sim.submit(one)
    assert sim.advance(3.1) == []
    sim.advance(4.0)
    assert one.scheduled_at == 3.2


def test_owners_are_told_of_the_first_token_then_each_interval_then_the_end() -> None:
    sim = simulation()
    one = sequence(prompt=1, output=8, interval=3)
    sim.submit(one)
    told = []
    for index in range(400):
        if sim.advance(index * 0.001):
            told.append(one.produced)
    assert told == [1, 4, 7, 8]


def test_without_a_stream_owners_are_told_of_the_end_alone() -> None:
    sim = simulation()
    sim.submit(sequence(output=8))
    told = [index for index in range(400) if sim.advance(index * 0.001)]
    assert len(told) == 1


def test_the_same_seed_gives_the_same_times() -> None:
    ends = []
    for seed in (1, 1, 2):
        sim, one = simulation(jitter=0.3, seed=seed), sequence()
        sim.submit(one)
        run(sim, 1.0)
        ends.append(one.last_token_at)
    assert ends[0] == ends[1] != ends[2]


def test_time_that_cannot_be_simulated_is_given_up_and_counted() -> None:
    sim = simulation()
    sim.submit(sequence(prompt=1, output=900))
    sim.advance(0.0)
    sim.advance(100.0)  # the loop was held for 100 s
    assert sim.lost_seconds == pytest.approx(100 - STEPS_PER_ADVANCE_MAX * 0.011, abs=0.1)
    assert sim.next_at() == pytest.approx(100.0, abs=0.1)


def test_a_small_lag_is_made_good() -> None:
    sim = simulation()
    one = sequence(prompt=1, output=900)
    sim.submit(one)
    sim.advance(0.0)
    sim.advance(LAG_SECONDS_MAX)
    assert sim.lost_seconds == 0
    assert one.produced == pytest.approx(LAG_SECONDS_MAX / 0.011, abs=1)


def test_preemptions_queueing_and_cache_hits_are_counted() -> None:
    sim = simulation(seqs=1)
    hashes = (5, 6)
    for _ in range(2):
        sim.submit(Sequence(40, 3, FinishReason.STOP, 0.0, hashes))
    run(sim, 1.0)
    metrics = sim.metrics
    assert (metrics.prefix_queries, metrics.prefix_hits) == (80, 32)
    assert (metrics.prompt_tokens, metrics.prompt_tokens_cached, metrics.generation_tokens) == (80, 32, 6)
    assert metrics.finished[FinishReason.STOP] == 2
    assert metrics.queue_time.total > 0.03
    assert metrics.iteration_tokens.total == 80 - 32 + 6
