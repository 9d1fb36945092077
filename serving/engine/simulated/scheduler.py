"""Continuous batching as vLLM does it: who computes how many tokens in the next step, and who must make room.

Pure: no clock, no chance. ``schedule`` takes blocks and decides, ``complete`` books what the step produced.
Source for the rules: vLLM 0.32, ``vllm/v1/core/sched/scheduler.py`` (first come first served, running before waiting,
chunked prefill within a token budget, preemption of the latest by recomputation).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from serving.engine.simulated.blocks import BlockPool
from serving.engine.simulated.sequence import FinishReason, Sequence


@dataclass(frozen=True)
class Limits:
    kv_blocks: int
    block_size: int
    max_num_seqs: int
    max_num_batched_tokens: int
    prefix_caching: bool


@dataclass(slots=True)
class Step:
    """The work of one step: who decodes one token, and who computes how many tokens of prefill."""

    decodes: list[Sequence] = field(default_factory=list)
    prefills: list[tuple[Sequence, int]] = field(default_factory=list)
    admitted: list[Sequence] = field(default_factory=list)
    """Those among them that were scheduled for the first time (preempted ones are not)."""
    preemptions: int = 0

    @property
    def prefill_tokens(self) -> int:
        return sum(tokens for _, tokens in self.prefills)


class Scheduler:
    """Owns the waiting queue, the running batch and the blocks."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pool = BlockPool(limits.kv_blocks)
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    def submit(self, sequence: Sequence) -> None:
        """Queues a sequence. Raises ValueError if the whole cache could not hold it."""
        longest = sequence.prompt_tokens + sequence.output_tokens
        if longest > self.limits.kv_blocks * self.limits.block_size:
            raise ValueError(f"a sequence of {longest} tokens exceeds the whole KV cache")
        if sequence.prompt_tokens < 1 or sequence.output_tokens < 1:
            raise ValueError("a sequence needs at least one prompt token and one output token")
        self.waiting.append(sequence)

    def schedule(self, now: float) -> Step | None:
        """The next step, starting now; None if nobody has work. Admits only those who have arrived."""
        step = Step()
        budget = self._schedule_running(step)
        if not step.preemptions:
            self._admit(step, budget, now)
        return step if step.decodes or step.prefills else None

    def complete(self, step: Step, now: float) -> tuple[list[Sequence], list[Sequence]]:
        """Books the step's tokens at its end. Returns who produced a first token, and who finished."""
        finished: list[Sequence] = []
        for sequence in step.decodes:
            sequence.computed += 1
            sequence.total += 1
            sequence.produced += 1
            if sequence.produced >= sequence.output_tokens and sequence.finished is None:
                finished.append(sequence)
        started: list[Sequence] = []
        for sequence, tokens in step.prefills:
            if sequence.finished is not None:
                continue  # aborted while the step ran
            sequence.computed += tokens
            if sequence.computed == sequence.total:
                sequence.total += 1
                sequence.produced += 1
                if sequence.first_token_at is None:
                    sequence.first_token_at = now
                    started.append(sequence)
                if sequence.produced >= sequence.output_tokens:
                    finished.append(sequence)
        for sequence in finished:
            sequence.finished = sequence.finish_reason
        self._drop(finished)
        return started, finished

    def abort(self, sequence: Sequence) -> None:
        """Takes a sequence out, wherever it is, and frees its blocks. A finished one stays as it is."""
        if sequence.finished is not None:
            return
        sequence.finished = FinishReason.ABORT
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        else:
            self._drop([sequence])

    def _drop(self, ended: Iterable[Sequence]) -> None:
        gone = set(map(id, ended))
        if not gone:
            return
        for sequence in self.running:
            if id(sequence) in gone:
                self.pool.release(sequence.blocks)
                sequence.blocks = []
        self.running = [sequence for sequence in self.running if id(sequence) not in gone]

    def _schedule_running(self, step: Step) -> int:
        """Every running sequence gets its tokens, the latest make room if blocks are short. Returns the budget left."""
        budget = self.limits.max_num_batched_tokens
        block_size = self.limits.block_size
        running = self.running
        decodes = step.decodes
        index = 0
        while index < len(running) and budget:
            sequence = running[index]
            computed = sequence.computed
            tokens = min(sequence.total - computed, budget)
            if computed + tokens > len(sequence.blocks) * block_size and not self._grow(sequence, tokens, index, step):
                break  # it was itself the latest, and has made room
            if sequence.produced and sequence.total - computed == 1:
                decodes.append(sequence)
            else:
                step.prefills.append((sequence, tokens))
            budget -= tokens
            index += 1
        return budget

    def _grow(self, sequence: Sequence, tokens: int, index: int, step: Step) -> bool:
        """Blocks for so many more tokens, preempting from the end of the batch; False if it had to go itself."""
        needed = -(-(sequence.computed + tokens) // self.limits.block_size) - len(sequence.blocks)
        while (blocks := self.pool.allocate(needed)) is None:
            victim = self.running.pop()
            self._preempt(victim)
            step.preemptions += 1
            if victim is sequence:
                return False
        sequence.blocks += blocks
        self._remember(sequence, sequence.computed + tokens)
        return True

    def _preempt(self, victim: Sequence) -> None:
        self.pool.release(victim.blocks)
        victim.blocks = []
        victim.computed = 0
        victim.remembered = 0
        victim.preemptions += 1
        self.waiting.appendleft(victim)

    def _admit(self, step: Step, budget: int, now: float) -> None:
        limits = self.limits
        while self.waiting and budget and len(self.running) < limits.max_num_seqs:
            sequence = self.waiting[0]
            if sequence.arrival > now:
                break
            # The last token must be computed, even if its block is known: it yields the first output.
            reusable = sequence.block_hashes[: (sequence.total - 1) // limits.block_size]
            found = self.pool.cached(reusable) if limits.prefix_caching else []
            computed = len(found) * limits.block_size
            tokens = min(sequence.total - computed, budget)
            needed = -(-(computed + tokens) // limits.block_size) - len(found)
            if needed > self.pool.free - self.pool.free_among(found):
                break
            self.pool.take(found)
            fresh = self.pool.allocate(needed)
            if fresh is None:
                raise AssertionError("blocks vanished between the check and the allocation")
            sequence.blocks = found + fresh
            sequence.computed = computed
            sequence.remembered = len(found)
            self._remember(sequence, computed + tokens)
            self.waiting.popleft()
            self.running.append(sequence)
            if sequence.scheduled_at is None:
                sequence.scheduled_at = now
                sequence.cached = computed
                step.admitted.append(sequence)
            step.prefills.append((sequence, tokens))
            budget -= tokens

    def _remember(self, sequence: Sequence, computed: int) -> None:
        """Prompt blocks that this step fills can be found by later prompts, even within the same step, as in vLLM."""
        if not self.limits.prefix_caching:
            return
        full = min(computed // self.limits.block_size, len(sequence.block_hashes))
        for index in range(sequence.remembered, full):
            self.pool.remember(sequence.blocks[index], sequence.block_hashes[index])
        sequence.remembered = max(sequence.remembered, full)
