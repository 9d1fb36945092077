"""The gateway workers as the controller needs them, and all of them seen at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ops.rollout.counted import Counted, CountersError, CounterSource, Scrape, counted
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
    """As the workers themselves gave them."""
    unreachable: Mapping[str, str]
    """Reason by worker."""
    counted: tuple[CounterSnapshot, ...] | None = None
    """What the judge reads, if that is from another source; of workers that answered alone."""
    uncounted: Mapping[str, str] = field(default_factory=dict)
    """Why a worker that answered has no counters for the judge, or old ones."""


async def see_workers(workers: Sequence[Worker], source: CounterSource | None = None) -> WorkersSeen:
    """Asks all at once. A worker whose counters alone fail is not unreachable: the judge finds them missing.

    With a ``source`` the judge's counters come from there, and those of the workers serve what it cannot: levels, and
    what is still under way."""
    answers, told = await asyncio.gather(
        asyncio.gather(*(_see(worker) for worker in workers)), _scrapes(source) if source else _nothing()
    )
    named = list(zip((worker.name for worker in workers), answers, strict=True))
    states = {name: state for name, (state, _, _) in named if state}
    if isinstance(told, str):
        from_source = Counted((), dict.fromkeys(states, told))
    else:
        from_source = counted({name: state.instance for name, state in states.items()}, told)
    failed = {name: why for name, (state, _, why) in named if state and why}
    return WorkersSeen(
        states=states,
        snapshots=tuple(snapshot for _, snapshot, _ in answers if snapshot),
        unreachable={name: why for name, (state, _, why) in named if not state},
        counted=from_source.snapshots if source else None,
        uncounted=from_source.faults if source else failed,
    )


async def _scrapes(source: CounterSource) -> tuple[Scrape, ...] | str:
    """Or why there are none."""
    try:
        return await source.scrapes()
    except CountersError as e:
        return str(e)


async def _nothing() -> tuple[Scrape, ...]:
    return ()


async def _see(worker: Worker) -> tuple[WorkerState | None, CounterSnapshot | None, str]:
    """Or why not."""
    try:
        state = await worker.state()
    except WorkerError as e:
        return None, None, str(e)
    try:
        return state, await worker.counters(), ""
    except WorkerError as e:
        return state, None, str(e)
