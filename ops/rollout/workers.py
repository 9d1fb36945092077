"""The gateway workers as the controller needs them, and all of them seen at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from serving.contract import Ack, CounterSnapshot, Renewal, RoutingTable, WorkerState


class WorkerError(Exception):
    """A worker did not answer, or not as agreed. Worth another try."""


class Worker(Protocol):
    name: str

    async def state(self) -> WorkerState:
        """Raises WorkerError, as all of these do."""

    async def counters(self) -> CounterSnapshot: ...

    async def put(self, table: RoutingTable) -> Ack: ...

    async def renew(self, tier: str, renewal: Renewal) -> Ack: ...


@dataclass(frozen=True)
class WorkersSeen:
    states: Mapping[str, WorkerState]
    snapshots: tuple[CounterSnapshot, ...]
    unreachable: Mapping[str, str]
    """Reason by worker."""


async def see_workers(workers: Sequence[Worker]) -> WorkersSeen:
    """Asks all at once. A worker whose counters alone fail is not unreachable: the judge finds them missing."""
    answers = await asyncio.gather(*(_see(worker) for worker in workers))
    return WorkersSeen(
        states={worker.name: state for worker, (state, _, _) in zip(workers, answers, strict=True) if state},
        snapshots=tuple(counters for _, counters, _ in answers if counters),
        unreachable={worker.name: why for worker, (_, _, why) in zip(workers, answers, strict=True) if why},
    )


async def _see(worker: Worker) -> tuple[WorkerState | None, CounterSnapshot | None, str]:
    try:
        state = await worker.state()
    except WorkerError as e:
        return None, None, str(e)
    try:
        return state, await worker.counters(), ""
    except WorkerError:
        return state, None, ""
