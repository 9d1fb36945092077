"""What a generator is told to do: where, which requests, how many of them when."""

from __future__ import annotations

import msgspec

from ops.loadtest.arrivals import Process


class Kind(msgspec.Struct, frozen=True):
    """Requests that are measured together."""

    task: str
    task_class: str
    target_seconds: float
    """The spec's p95 target of the class; a slower answer misses it."""
    timeout_seconds: float
    stream: bool


class Rate(msgspec.Struct, frozen=True):
    """A rate going in a straight line, in requests a second."""

    seconds: float
    start: float
    end: float


class Phase(msgspec.Struct, frozen=True):
    """A part of a run that is judged by itself. ``measured`` is false for a warm-up."""

    name: str
    seconds: float
    measured: bool = True


class Plan(msgspec.Struct, frozen=True):
    host: str
    port: int
    tls: bool
    kinds: tuple[Kind, ...]
    requests: tuple[tuple[int, bytes], ...]
    """Kind and whole HTTP request, drawn from at random."""
    phases: tuple[Phase, ...]
    rates: tuple[Rate, ...] = ()
    """Open arrivals; empty for closed users."""
    process: Process = Process.POISSON
    think_seconds: float = 0.0
    """Mean of a closed user's pause, exponentially distributed."""
    connections_max: int = 1000
    connections_held: int = 0
    """Kept open and used by chance, as users who stay connected would; of all generators together, by their shares."""
    waiting_max: int = 100_000
    """Requests that may wait for a connection; one more is dropped, and a run that drops is invalid."""
    drain_seconds_max: float = 30.0
    """For what is under way at the end."""
    seed: int = 1

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)
