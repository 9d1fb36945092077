"""The block pool: reuse by prefix, eviction in order of last use, no leak."""

from __future__ import annotations

import pytest

from serving.engine.simulated.blocks import BlockPool


def test_a_pool_gives_what_it_has_and_no_more() -> None:
    pool = BlockPool(3)
    assert pool.allocate(4) is None
    assert pool.free == 3
    blocks = pool.allocate(3)
    assert blocks == [0, 1, 2]
    assert pool.allocate(1) is None
    assert pool.allocate(0) == []


def test_freed_blocks_are_found_by_their_hash_until_they_are_reused() -> None:
    pool = BlockPool(2)
    first = pool.allocate(2)
    assert first is not None
    pool.remember(first[0], 11)
    pool.remember(first[1], 22)
    pool.release(first)
    assert pool.cached([11, 22, 33]) == first
    assert pool.cached([22, 11]) == [first[1], first[0]]
    assert pool.cached([33, 11]) == []
    pool.allocate(1)  # the tail was freed first, so it goes first
    assert pool.cached([11, 22]) == [first[0]]


def test_a_shared_block_is_free_only_when_its_last_user_leaves() -> None:
    pool = BlockPool(2)
    first = pool.allocate(1)
    assert first is not None
    pool.remember(first[0], 11)
    pool.take(first)
    pool.release(first)
    assert pool.used == 1
    pool.release(first)
    assert pool.used == 0
    assert pool.free_among(first) == 1
    pool.take(first)
    assert pool.free_among(first) == 0


def test_releasing_a_block_twice_is_an_error() -> None:
    pool = BlockPool(1)
    blocks = pool.allocate(1)
    assert blocks is not None
    pool.release(blocks)
    with pytest.raises(ValueError, match="released more often"):
        pool.release(blocks)
