"""Drives the simulation by the clock and tells each request of its progress. One task, ``Engine.run``, does it all.

The text of an answer is known beforehand, so progress is a number: nothing is queued for a client that reads slowly.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

from serving.engine.simulated.answers import Choice, PromptLogprobs
from serving.engine.simulated.errors import api_error
from serving.engine.simulated.faulting import Fault, choose_fault
from serving.engine.simulated.metrics import Metrics
from serving.engine.simulated.planning import Model, Planned
from serving.engine.simulated.profile import Faults, Profile
from serving.engine.simulated.scheduler import Limits
from serving.engine.simulated.scoring import prompt_logprobs
from serving.engine.simulated.sequence import FinishReason, Sequence
from serving.engine.simulated.simulation import Cost, Simulation
from serving.engine.simulated.text import Output, Tape
from serving.engine.simulated.tokens import Tokenizer, block_hashes

BUSY = "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance."


class Generation:
    """One request in the engine: its choices, and a way to wait for news of them."""

    __slots__ = ("_damaged", "_model", "_news", "_open", "_sent", "outputs", "planned", "sequences")

    def __init__(self, planned: Planned, sequences: list[Sequence], model: Model, damaged: float) -> None:
        self.planned = planned
        self._model = model
        self._damaged = damaged
        self.outputs: tuple[Output, ...] = planned.outputs
        self.sequences = sequences
        self._sent = [0] * len(sequences)
        self._open = len(sequences)
        self._news: asyncio.Future[None] | None = None

    @property
    def prompt_tokens(self) -> int:
        return sum(map(len, self.planned.prompts))

    @property
    def completion_tokens(self) -> int:
        return sum(sequence.produced for sequence in self.sequences)

    @property
    def finished(self) -> bool:
        return all(sequence.finished is not None for sequence in self.sequences)

    @property
    def aborted(self) -> bool:
        return any(sequence.finished is FinishReason.ABORT for sequence in self.sequences)

    def tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def news(self) -> None:
        """Returns after the next ``tell``. Whoever waits must look at the state first."""
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    async def complete(self) -> None:
        while not self.finished:
            await self.news()

    def deltas(self) -> Iterator[tuple[int, str, int, bool]]:
        """News since the last call: index, text, tokens so far, whether the choice has ended. Consumes them."""
        for index, sequence in enumerate(self.sequences):
            sent, produced = self._sent[index], sequence.produced
            if produced == sent or not (sequence.finished or sequence.announced > sent):
                continue
            self._sent[index] = produced
            yield index, self.outputs[index].text(sent, produced), produced, sequence.finished is not None

    def choice(self, index: int, text: str | None = None) -> Choice:
        output = self.outputs[index]
        whole = output.text(0, output.tokens) if text is None else text
        return Choice(index, whole, output.finish_reason.value, output.stop_reason, self._prompt_logprobs(index))

    def _prompt_logprobs(self, index: int) -> PromptLogprobs | None:
        if not self.planned.prompt_logprobs:
            return None
        return prompt_logprobs(self.planned.prompts[index // self.planned.n], self._model, self._damaged)


class Engine:
    """The running engine. ``clock`` gives seconds that never go back; ``crash`` ends the process."""

    def __init__(self, profile: Profile, clock: Callable[[], float], crash: Callable[[], None]) -> None:
        self.profile = profile
        self.clock = clock
        self._crash = crash
        self._crash_timer: asyncio.TimerHandle | None = None
        self.metrics = Metrics(profile.max_model_len)
        self.model = Model(profile, Tokenizer(), Tape(profile.seed, profile.max_model_len))
        # Streams of chance of their own: neither steps nor texts change who meets a fault.
        self._fault_chance = random.Random(profile.seed)  # noqa: S311 - repeatable by design
        self._text_chance = random.Random(profile.seed + 2)  # noqa: S311 - repeatable by design
        self.faults = Faults()
        self.unfinished = 0
        self.simulation = Simulation(
            Limits(
                profile.kv_blocks, profile.block_size, profile.max_num_seqs, profile.max_num_batched_tokens,
                profile.prefix_caching,
            ),
            Cost(
                profile.step_base_ms / 1000, profile.step_sequence_ms / 1000, profile.step_prefill_token_ms / 1000,
                profile.step_jitter,
            ),
            random.Random(profile.seed + 1),  # noqa: S311 - repeatable by design
            self.metrics,
            clock=clock(),
        )  # fmt: skip
        self._unready_until = 0.0
        self._stalled_at = 0.0
        self._changed = asyncio.Event()
        self._woke = clock()
        self.set_faults(profile.faults, starting=True)

    def set_faults(self, faults: Faults, starting: bool = False) -> None:
        """Takes effect at once for new requests, and from the next step on for the slowdown."""
        if self.faults.stalled != faults.stalled:
            now = self.clock()
            if faults.stalled:
                self._stalled_at = now
            else:
                self.simulation.shift(now - self._stalled_at)
        self.faults = faults
        self.simulation.slowdown = self.profile.slowdown * faults.slowdown
        if not starting:
            self._unready_until = self.clock() + faults.cold_start_seconds
        if self._crash_timer is not None:
            self._crash_timer.cancel()
            self._crash_timer = None
        if faults.crash_after_seconds is not None:
            loop = asyncio.get_running_loop()
            self._crash_timer = loop.call_later(faults.crash_after_seconds, self._crash)
        self._changed.set()

    @property
    def ready(self) -> bool:
        return self.clock() >= self._unready_until

    def meet_fault(self) -> Fault:
        return choose_fault(self.faults, self._fault_chance.random())

    def request_chance(self, seed: int | None) -> random.Random:
        """The chance of one request's text: its own seed repeats it, as with vLLM."""
        return self._text_chance if seed is None else random.Random(seed)  # noqa: S311 - repeatable by design

    def submit(self, planned: Planned, streamed: bool) -> Generation:
        """Queues a request. Raises ApiError (503) when the queue is full."""
        count = len(planned.outputs)
        if self.unfinished + count > self.profile.max_num_queued_reqs:
            self.metrics.rejected["max_num_queued_reqs"] += 1
            raise api_error(503, BUSY, "Service Unavailable")
        interval = self.profile.stream_interval if streamed else 0
        now = self.clock()
        sequences = []
        for at, prompt in enumerate(planned.prompts):
            hashes = block_hashes(prompt, self.profile.block_size) if self.profile.prefix_caching else ()
            for output in planned.outputs[at * planned.n : (at + 1) * planned.n]:
                sequences.append(Sequence(len(prompt), output.tokens, output.finish_reason, now, hashes, interval))
        generation = Generation(planned, sequences, self.model, self.faults.damaged)
        for sequence in sequences:
            sequence.owner = generation
            self.simulation.submit(sequence)
        self.unfinished += count
        self._changed.set()
        return generation

    def abort(self, generation: Generation) -> None:
        """Ends what has not finished; its blocks are free for others."""
        for sequence in generation.sequences:
            if sequence.finished is None:
                self.simulation.abort(sequence)
                self.unfinished -= 1
        generation.tell()

    async def run(self) -> None:
        """Runs until cancelled."""
        tick = self.profile.tick_ms / 1000
        while True:
            due = self.simulation.next_at()
            if due is None or self.faults.stalled:
                self._changed.clear()
                await self._changed.wait()
                continue
            # A sleep of 0 still lets requests in: the loop is never held for long.
            await asyncio.sleep(max(0.0, max(due, self._woke + tick) - self.clock()))
            self._woke = self.clock()
            if not self.faults.stalled:
                self._tell(self.simulation.advance(self._woke))

    def _tell(self, sequences: list[Sequence]) -> None:
        for sequence in sequences:
            generation = sequence.owner
            if not isinstance(generation, Generation):
                raise TypeError("a sequence without a request")
            if sequence.finished is not None:
                self._finished(generation)
            generation.tell()

    def _finished(self, generation: Generation) -> None:
        self.unfinished -= 1
        generation._open -= 1
        if generation._open == 0:
            longest = max(sequence.produced for sequence in generation.sequences)
            self.metrics.answered(generation.planned.n, generation.planned.tokens_max, longest)
