"""Replica noise out of blocks: what chance alone does is no noise, and what replicas add is found."""

from __future__ import annotations

import numpy as np
import pytest

from ops.judge.noise import MEMORIES_SECONDS, Block, Graded, Series, block, estimate
from serving.contract import BadEvent

BLOCK_SECONDS = 30.0


def _series(
    sigma: float, count: int, seed: int, *, memory: float = 120.0, chance: float = 0.08, same: bool = True
) -> list[Series]:
    """Twelve blocks each, of two replicas' moods, drawn every second."""
    found = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        keep, moods, blocks = np.exp(-1 / memory), rng.normal(0.0, sigma, 2), []
        for i in range(12):
            means = []
            for _ in range(int(BLOCK_SECONDS)):
                moods = keep * moods + rng.normal(0.0, sigma * np.sqrt(1 - keep**2), 2)
                means.append(moods[0] - moods[1])
            difference = float(np.mean(means)) + float(rng.normal(0.0, chance))
            blocks.append(Block((i + 0.5) * BLOCK_SECONDS, difference, 1 / chance**2))
        found.append(Series(f"r{number}", BadEvent.SLOW, tuple(blocks), BLOCK_SECONDS, 2.0, same))
    return found


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("same", [True, False], ids=["one-release", "a-promoted-one"])
def test_the_noise_that_was_put_in_is_found_within_its_interval(sigma: float, same: bool) -> None:
    hits = 0
    for seed in range(8):
        noise = estimate(_series(sigma, 25, seed, same=same))
        assert noise is not None
        assert noise.sigma == pytest.approx(sigma, abs=max(0.04, 0.3 * sigma))
        hits += noise.sigma_low <= sigma <= noise.sigma_high
    assert hits >= 6  # a 90 % interval, eight times


def test_the_memory_is_told_to_the_next_of_the_grid() -> None:
    for memory in (60.0, 240.0):
        noise = estimate(_series(0.2, 60, 5, memory=memory))
        assert noise is not None
        at = MEMORIES_SECONDS.index(memory)
        assert noise.seconds in MEMORIES_SECONDS[at - 1 : at + 2]


def test_a_promoted_release_that_is_a_little_slower_is_no_noise() -> None:
    slower = [
        Series(
            one.rollout,
            one.event,
            tuple(Block(b.at, b.difference + 0.08 * (-1) ** number, b.information) for b in one.blocks),
            one.block_seconds,
            one.replicas,
            same=False,
        )
        for number, one in enumerate(_series(0.0, 25, 3))
    ]
    noise = estimate(slower)
    assert noise is not None
    assert noise.sigma <= 0.04


def test_arms_of_many_replicas_differ_less_for_the_same_noise() -> None:
    few = estimate(_series(0.1, 25, 1))
    many = estimate(
        [Series(s.rollout, s.event, s.blocks, s.block_seconds, 0.5, s.same) for s in _series(0.1, 25, 1)]
    )
    assert few is not None
    assert many is not None
    assert many.sigma == pytest.approx(2 * few.sigma, abs=0.04)


def test_without_blocks_nothing_is_known() -> None:
    assert estimate([]) is None


def test_a_block_tells_how_many_times_as_slow_the_canary_was() -> None:
    # Odds of passing each cut raised by 1.5, with cuts whose steepness says that odds rise thrice as fast as values.
    rates = np.array([0.5, 0.25, 0.1])
    raised = 1.5 * rates / (1 - rates + 1.5 * rates)

    def levels(passing: np.ndarray) -> tuple[int, ...]:
        edges = np.concatenate(([1.0], passing, [0.0]))
        return tuple(round(100_000 * part) for part in edges[:-1] - edges[1:])

    found = block(1.0, [Graded(levels(raised), levels(rates), 3.0)])
    assert found is not None
    assert found.difference == pytest.approx(np.log(1.5) / 3, rel=0.03)


def test_a_block_s_chance_is_what_its_information_says() -> None:
    rng, found = np.random.default_rng(4), []
    for _ in range(400):
        canary, reference = (rng.multinomial(40, [0.5, 0.25, 0.15, 0.08, 0.02]) for _ in range(2))
        one = block(0.0, [Graded(tuple(canary.tolist()), tuple(reference.tolist()), 2.0)])
        assert one is not None
        found.append(one.difference * np.sqrt(one.information))
    assert np.std(found) == pytest.approx(1.0, abs=0.1)


def test_a_block_in_which_one_arm_answered_nothing_tells_nothing() -> None:
    assert block(0.0, [Graded((0, 0), (30, 10), 1.0), Graded((3, 1), (0, 0), 1.0)]) is None
