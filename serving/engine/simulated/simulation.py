"""The engine in its own time: steps follow each other without gaps while there is work, each as long as it costs.

Pure: ``advance(now)`` runs every step that has ended by then; chance comes from the generator given. The time of an
event is when it happened in the simulation, at most one wake-up before ``now``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from serving.engine.simulated.metrics import Metrics
from serving.engine.simulated.scheduler import Limits, Scheduler, Step
from serving.engine.simulated.sequence import Sequence

STEPS_PER_ADVANCE_MAX, TOKENS_PER_ADVANCE_MAX = 256, 20_000
"""After so many steps or tokens the caller gets its turn, however far behind the simulation is: some 20 ms of work."""
LAG_SECONDS_MAX = 1.0
"""Further behind than this, the simulation gives the time up: the machine is too slow, and the loss is counted."""


@dataclass(frozen=True)
class Cost:
    """How long a step takes: linear in its batch and its prefill, like a GPU's below saturation."""

    base_seconds: float
    sequence_seconds: float
    prefill_token_seconds: float
    jitter: float

    def seconds(self, decodes: int, prefill_tokens: int, chance: float) -> float:
        """``chance`` in [0, 1) places the step within its jitter."""
        linear = (
            self.base_seconds + decodes * self.sequence_seconds + prefill_tokens * self.prefill_token_seconds
        )
        return linear * (1 + self.jitter * (2 * chance - 1))


@dataclass(slots=True)
class Simulation:
    """A scheduler with a clock. ``slowdown`` may be changed at any time; it holds from the next step on."""

    limits: Limits
    cost: Cost
    chance: random.Random
    metrics: Metrics
    slowdown: float = 1.0
    clock: float = 0.0
    """Until when everything has been simulated."""
    lost_seconds: float = 0.0
    scheduler: Scheduler = field(init=False)
    _step: Step | None = None
    _ends: float = 0.0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.limits)

    def submit(self, sequence: Sequence) -> None:
        """Queues a sequence; its arrival must not precede that of one submitted earlier."""
        self.scheduler.submit(sequence)

    def abort(self, sequence: Sequence) -> None:
        self.scheduler.abort(sequence)

    def next_at(self) -> float | None:
        """When the next step ends; None if there is nothing to do."""
        if self._step is not None:
            return self._ends
        if self.scheduler.running:
            return self.clock
        if self.scheduler.waiting:
            return max(self.clock, self.scheduler.waiting[0].arrival)
        return None

    def advance(self, now: float) -> list[Sequence]:
        """Simulates up to ``now``. Returns the sequences whose owners have something to be told, each once."""
        told: dict[int, Sequence] = {}
        steps, tokens_before = 0, self.metrics.generation_tokens
        while steps < STEPS_PER_ADVANCE_MAX and self.metrics.generation_tokens - tokens_before < TOKENS_PER_ADVANCE_MAX:
            if self._step is None and not self._begin(now):
                break
            if self._ends > now:
                break
            self._end(told)
            steps += 1
        due = self.next_at()
        if due is not None and now - due > LAG_SECONDS_MAX:
            self.lost_seconds += now - due
            self.shift(now - due)
        return list(told.values())

    def shift(self, seconds: float) -> None:
        """Time passes in which nothing happens: the running step ends so much later."""
        self.clock += seconds
        self._ends += seconds

    def _begin(self, now: float) -> bool:
        """Starts the next step, when the last one ended or, if idle, when the first in the queue arrived."""
        scheduler = self.scheduler
        start = self.clock
        if not scheduler.running:
            if not scheduler.waiting:
                return False
            start = max(start, scheduler.waiting[0].arrival)
            if start > now:
                return False
        step = scheduler.schedule(start)
        if step is None:
            return False
        self.metrics.scheduled(step)
        seconds = self.cost.seconds(len(step.decodes), step.prefill_tokens, self.chance.random())
        self._step = step
        self._ends = start + seconds * self.slowdown
        return True

    def _end(self, told: dict[int, Sequence]) -> None:
        step = self._step
        if step is None:
            raise AssertionError("no step runs")
        self._step = None
        now = self.clock = self._ends
        started, finished = self.scheduler.complete(step, now)
        self.metrics.completed(step, started, finished, now)
        for sequence in step.decodes:
            interval = sequence.event_interval
            if interval and sequence.produced - sequence.announced >= interval:
                sequence.announced = sequence.produced
                told[id(sequence)] = sequence
        for sequence in started:
            if sequence.event_interval:
                sequence.announced = sequence.produced
                told[id(sequence)] = sequence
        for sequence in finished:
            told[id(sequence)] = sequence
