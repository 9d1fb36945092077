"""Continuous batching: who runs, who waits, who makes room; in tables and as properties over random loads."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.engine.simulated.scheduler import Limits, Scheduler
from serving.engine.simulated.sequence import FinishReason, Sequence


def limits(**changes: object) -> Limits:
    defaults = {"kv_blocks": 64, "block_size": 4, "max_num_seqs": 8, "max_num_batched_tokens": 64,
                "prefix_caching": True}  # fmt: skip
    return Limits(**{**defaults, **changes})  # type: ignore[arg-type]


def sequence(prompt: int, output: int = 4, arrival: float = 0.0, hashes: tuple[int, ...] = ()) -> Sequence:
    return Sequence(prompt, output, FinishReason.LENGTH, arrival, hashes)


def run_to_end(scheduler: Scheduler, steps_max: int = 10_000) -> list[Sequence]:
    finished: list[Sequence] = []
    for now in range(steps_max):
        step = scheduler.schedule(float(now))
        if step is None:
            break
        finished += scheduler.complete(step, float(now))[1]
    return finished


def test_a_sequence_prefills_then_decodes_one_token_a_step() -> None:
    scheduler = Scheduler(limits())
    one = sequence(10, output=3)
    scheduler.submit(one)
    step = scheduler.schedule(0.0)
    assert step is not None
    assert step.prefills == [(one, 10)]
    started, finished = scheduler.complete(step, 1.0)
    assert (started, finished, one.produced, one.first_token_at) == ([one], [], 1, 1.0)
    for produced in (2, 3):
        step = scheduler.schedule(float(produced))
        assert step is not None
        assert step.decodes == [one]
        assert step.prefill_tokens == 0
        scheduler.complete(step, float(produced))
        assert one.produced == produced
    assert one.finished is FinishReason.LENGTH
    assert scheduler.schedule(4.0) is None
    assert scheduler.pool.used == 0


def test_a_long_prompt_is_prefilled_in_chunks_beside_running_decodes() -> None:
    scheduler = Scheduler(limits(max_num_batched_tokens=16))
    short, long = sequence(4, output=9), sequence(40)
    scheduler.submit(short)
    first = scheduler.schedule(0.0)
    assert first is not None
    scheduler.complete(first, 0.0)
    scheduler.submit(long)
    chunks = []
    while long.first_token_at is None:
        step = scheduler.schedule(1.0)
        assert step is not None
        assert step.decodes == [short]
        chunks.append(step.prefill_tokens)
        scheduler.complete(step, 1.0)
    assert chunks == [15, 15, 10]


def test_no_more_sequences_run_than_the_limit_and_the_rest_wait_in_order() -> None:
    scheduler = Scheduler(limits(max_num_seqs=2))
    many = [sequence(4) for _ in range(5)]
    for one in many:
        scheduler.submit(one)
    scheduler.schedule(0.0)
    assert scheduler.running == many[:2]
    assert list(scheduler.waiting) == many[2:]


def test_who_has_not_arrived_yet_is_not_admitted() -> None:
    scheduler = Scheduler(limits())
    scheduler.submit(sequence(4, arrival=5.0))
    assert scheduler.schedule(4.9) is None
    assert scheduler.schedule(5.0) is not None


def test_admission_waits_for_free_blocks() -> None:
    scheduler = Scheduler(limits(kv_blocks=6))
    first, second = sequence(16, output=2), sequence(12, output=2)
    scheduler.submit(first)
    scheduler.submit(second)
    step = scheduler.schedule(0.0)
    assert step is not None
    assert scheduler.running == [first]
    scheduler.complete(step, 0.0)
    while first.finished is None:
        step = scheduler.schedule(1.0)
        assert step is not None
        scheduler.complete(step, 1.0)
    scheduler.schedule(2.0)
    assert scheduler.running == [second]


def test_a_full_cache_preempts_the_latest_who_then_recomputes_all_it_had() -> None:
    scheduler = Scheduler(limits(kv_blocks=6))
    early, late = sequence(11, output=12), sequence(11, output=12)
    scheduler.submit(early)
    scheduler.submit(late)
    preempted = 0
    while early.finished is None:
        step = scheduler.schedule(0.0)
        assert step is not None
        preempted += step.preemptions
        if step.preemptions:
            assert late.computed == 0
            assert list(scheduler.waiting) == [late]
            had = late.total
        scheduler.complete(step, 0.0)
    assert preempted == late.preemptions == 1
    assert early.preemptions == 0
    step = scheduler.schedule(1.0)
    assert step is not None
    assert step.prefills == [(late, had)]
    assert step.admitted == []  # it was admitted before
    run_to_end(scheduler)
    assert late.produced == 12
    assert scheduler.pool.used == 0


def test_a_known_prefix_is_not_computed_again_but_the_last_token_always_is() -> None:
    scheduler = Scheduler(limits())
    first = sequence(8, hashes=(1, 2))
    scheduler.submit(first)
    run_to_end(scheduler)
    same, longer, other = sequence(8, hashes=(1, 2)), sequence(12, hashes=(1, 2, 3)), sequence(8, hashes=(9, 2))
    for one in (same, longer, other):
        scheduler.submit(one)
    step = scheduler.schedule(0.0)
    assert step is not None
    assert step.prefills == [(same, 4), (longer, 4), (other, 8)]
    assert [one.cached for one in (same, longer, other)] == [4, 8, 0]
    assert step.admitted == [same, longer, other]


def test_prefixes_are_shared_within_one_step() -> None:
    scheduler = Scheduler(limits())
    for _ in range(3):
        scheduler.submit(sequence(9, hashes=(1, 2)))
    step = scheduler.schedule(0.0)
    assert step is not None
    assert [tokens for _, tokens in step.prefills] == [9, 1, 1]
    assert scheduler.pool.used == 2 + 3


def test_without_prefix_caching_everything_is_computed() -> None:
    scheduler = Scheduler(limits(prefix_caching=False))
    for _ in range(2):
        scheduler.submit(sequence(9, hashes=(1, 2)))
    step = scheduler.schedule(0.0)
    assert step is not None
    assert [tokens for _, tokens in step.prefills] == [9, 9]


@pytest.mark.parametrize("steps_before", [0, 1, 2])
def test_an_aborted_sequence_leaves_nothing_behind(steps_before: int) -> None:
    scheduler = Scheduler(limits())
    one = sequence(4, output=9)
    scheduler.submit(one)
    for _ in range(steps_before):
        step = scheduler.schedule(0.0)
        assert step is not None
        scheduler.complete(step, 0.0)
    scheduler.abort(one)
    scheduler.abort(one)
    assert one.finished is FinishReason.ABORT
    assert scheduler.pool.used == 0
    assert not scheduler.running
    assert not scheduler.waiting
    assert scheduler.schedule(1.0) is None


def test_a_sequence_aborted_while_its_step_runs_produces_nothing() -> None:
    scheduler = Scheduler(limits())
    one, other = sequence(4), sequence(4)
    scheduler.submit(one)
    scheduler.submit(other)
    step = scheduler.schedule(0.0)
    assert step is not None
    scheduler.abort(one)
    started, _ = scheduler.complete(step, 1.0)
    assert started == [other]
    assert one.produced == 0
    run_to_end(scheduler)
    assert scheduler.pool.used == 0


@pytest.mark.parametrize(("prompt", "output"), [(250, 10), (0, 1), (1, 0)])
def test_a_sequence_that_can_never_run_is_refused(prompt: int, output: int) -> None:
    with pytest.raises(ValueError, match="sequence"):
        Scheduler(limits(kv_blocks=64)).submit(sequence(prompt, output))


def prefix(family: int, prompt: int) -> tuple[int, ...]:
    return tuple(range(100 * family, 100 * family + prompt // 4))


loads = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 20), st.integers(0, 30), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(
    loads, st.integers(16, 40), st.integers(1, 6), st.integers(1, 48), st.booleans(),
)  # fmt: skip
def test_whatever_the_load_all_sequences_end_in_order_and_no_block_leaks(
    load: list[tuple[int, int, int, int, bool]], kv_blocks: int, seqs: int, budget: int, caching: bool
) -> None:
    bounds = limits(
        kv_blocks=kv_blocks, max_num_seqs=seqs, max_num_batched_tokens=budget, prefix_caching=caching
    )
    scheduler = Scheduler(bounds)
    arriving = sorted(
        (
            Sequence(prompt, output, FinishReason.STOP, float(arrival), prefix(family, prompt))
            for prompt, output, arrival, family, _ in load
        ),
        key=lambda one: one.arrival,
    )
    to_abort = {id(one) for one, entry in zip(arriving, load, strict=True) if entry[4]}
    for one in arriving:
        scheduler.submit(one)
    firsts: list[Sequence] = []
    for tick in range(20_000):
        step = scheduler.schedule(float(tick))
        if step is None:
            if not scheduler.waiting:
                break
            continue
        work = step.decodes + [one for one, _ in step.prefills]
        assert len(set(map(id, work))) == len(work) <= seqs
        assert len(step.decodes) + step.prefill_tokens <= budget
        for one in scheduler.running:
            assert len(one.blocks) * bounds.block_size >= one.computed
        held = {block for one in scheduler.running for block in one.blocks}
        assert scheduler.pool.used == len(held) <= kv_blocks
        firsts += step.admitted
        if tick == 25:
            for one in arriving:
                if id(one) in to_abort:
                    scheduler.abort(one)
        scheduler.complete(step, float(tick))
    else:
        pytest.fail("the load did not end")
    assert all(one.finished is not None for one in arriving)
    for one in arriving:
        if one.finished is FinishReason.STOP:
            assert one.produced == one.output_tokens
    assert scheduler.pool.used == 0
    order = {id(one): index for index, one in enumerate(arriving)}
    assert all(order[id(a)] < order[id(b)] for a, b in pairwise(firsts))  # first come, first served
