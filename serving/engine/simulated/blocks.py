"""The KV cache's blocks: reference counts, a free list in order of last use, and reuse by hash of a prompt's prefix.

Owns which block belongs to whom. Knows nothing of requests, time or tokens' values beyond the hashes given to it.
"""

from __future__ import annotations

from collections.abc import Sequence


class BlockPool:
    """A fixed number of blocks. A block freed keeps its hash, so a later prompt may revive it, until it is reused."""

    def __init__(self, count: int) -> None:
        self.count = count
        # A dict is an ordered set: the longest unused block comes first.
        self._free: dict[int, None] = dict.fromkeys(range(count))
        self._references = [0] * count
        self._hash_of: list[int | None] = [None] * count
        self._by_hash: dict[int, int] = {}

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def used(self) -> int:
        return self.count - len(self._free)

    def cached(self, hashes: Sequence[int]) -> list[int]:
        """Blocks that hold the longest known prefix of the hashes. Takes no reference."""
        found = []
        for key in hashes:
            block = self._by_hash.get(key)
            if block is None:
                break
            found.append(block)
        return found

    def free_among(self, blocks: Sequence[int]) -> int:
        """How many of the blocks count as free now: taking them shrinks the free list by so many."""
        return sum(1 for block in blocks if not self._references[block])

    def take(self, blocks: Sequence[int]) -> None:
        """Adds a reference to each of these (cached) blocks."""
        for block in blocks:
            if not self._references[block]:
                del self._free[block]
            self._references[block] += 1

    def allocate(self, count: int) -> list[int] | None:
        """So many fresh blocks, the longest unused first; None, and nothing changed, if there are too few."""
        if count > len(self._free):
            return None
        blocks = []
        for _ in range(count):
            block = next(iter(self._free))
            del self._free[block]
            key = self._hash_of[block]
            if key is not None:
                del self._by_hash[key]
                self._hash_of[block] = None
            self._references[block] = 1
            blocks.append(block)
        return blocks

    def remember(self, block: int, key: int) -> None:
        """Lets later prompts find the block by this hash. The first block of a hash keeps it."""
        if key not in self._by_hash and self._hash_of[block] is None:
            self._by_hash[key] = block
            self._hash_of[block] = key

    def release(self, blocks: Sequence[int]) -> None:
        """Gives a sequence's blocks back, its tail first: a prefix is worth more than what follows it."""
        for block in reversed(blocks):
            self._references[block] -= 1
            if self._references[block] < 0:
                raise ValueError(f"block {block} was released more often than taken")
            if not self._references[block]:
                self._free[block] = None
