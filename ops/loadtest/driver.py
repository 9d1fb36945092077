"""Sends a plan's requests on time and measures what comes back. Runs on uvloop, in a process of its own.

Latency counts from the intended start: a request that waits for a connection waits at the user's expense.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from itertools import accumulate
from random import Random
from time import perf_counter

from ops.loadtest.arrivals import Segment, arrivals
from ops.loadtest.calls import DROPPED, INTENDED, Call, record
from ops.loadtest.connection import Connection, Exchange, Failure
from ops.loadtest.plan import Plan
from ops.loadtest.pool import Pool
from ops.loadtest.recording import Recorded, Recorder
from ops.loadtest.streams import Stream

SWEEP_SECONDS = 0.05
"""How often time-outs, users and the end are looked for."""
WAIT_SECONDS_MAX = 0.5
"""After which a wait for the next arrival looks whether the run was stopped."""


class Driver:
    """``share`` is this generator's part of the rate, 0 to 1; ``users`` are those of a closed plan. Both may change."""

    def __init__(self, plan: Plan, share: float = 1.0, users: int = 0) -> None:
        self.plan, self.share, self.users = plan, share, users
        self.in_flight = 0
        self.pool = Pool(plan.host, plan.port, plan.tls, plan.connections_max, plan.waiting_max)
        self._recorders: dict[tuple[int, int], Recorder] = {}
        self._chance = Random(plan.seed)  # noqa: S311 - load, not secrets
        self._calls: dict[float, deque[Call]] = {kind.timeout_seconds: deque() for kind in plan.kinds}
        self._phase_ends = list(accumulate(phase.seconds for phase in plan.phases))
        self._started = 0.0
        self._stopped = False
        self._thinking = 0

    async def run(self) -> None:
        """Until the plan's phases are over, or ``stop``; then waits for what is under way, within its bound."""
        self._started = perf_counter()
        sweeping = asyncio.create_task(self._sweep())
        try:
            await (self._arrive() if self.plan.rates else self._keep_users())
            await self._drain()
        finally:
            sweeping.cancel()
            self._end_all()
            self.pool.close()

    def stop(self) -> None:
        self._stopped = True

    @property
    def elapsed_seconds(self) -> float:
        return perf_counter() - self._started if self._started else 0.0

    def taken(self) -> dict[tuple[int, int], Recorded]:
        """What was recorded since the last call, by phase and kind."""
        return {key: recorder.taken() for key, recorder in self._recorders.items()}

    # --- when ---------------------------------------------------------------------------------------------------

    async def _arrive(self) -> None:
        shape = [Segment(rate.seconds, rate.start, rate.end) for rate in self.plan.rates]
        for offset in arrivals(shape, self.plan.process, self._chance, self._known_share):
            intended = self._started + offset
            while (wait := intended - perf_counter()) > 0 and not self._stopped:
                await asyncio.sleep(min(wait, WAIT_SECONDS_MAX))
            if self._stopped:
                return
            self._request(intended, closed=False)

    def _known_share(self) -> float:
        return max(self.share, 1e-9)

    async def _keep_users(self) -> None:
        """As many users as there should be; one more begins as soon as it is seen to be missing."""
        loop = asyncio.get_running_loop()
        while not self._stopped and self.elapsed_seconds < self.plan.seconds:
            for _ in range(self.users - self._active):
                self._think(loop, first=True)
            await asyncio.sleep(SWEEP_SECONDS)

    @property
    def _active(self) -> int:
        return self.in_flight + self.pool.waiting + self._thinking

    def _think(self, loop: asyncio.AbstractEventLoop, first: bool = False) -> None:
        """A closed user's pause. The first is of any length up to the mean, so that users do not march in step."""
        mean = self.plan.think_seconds
        pause = self._chance.random() * mean if first else self._chance.expovariate(1 / mean) if mean else 0.0
        intended = perf_counter() + pause
        self._thinking += 1
        loop.call_later(pause, self._thought, intended)

    def _thought(self, intended: float) -> None:
        self._thinking -= 1
        over = self._stopped or self.elapsed_seconds >= self.plan.seconds
        if not over and self._active < self.users:
            self._request(intended, closed=True)

    # --- what ---------------------------------------------------------------------------------------------------

    def _request(self, intended: float, closed: bool) -> None:
        index, request = self.plan.requests[self._chance.randrange(len(self.plan.requests))]
        kind = self.plan.kinds[index]
        recorder = self._recorder(intended, index)
        recorder.counts[INTENDED] += 1

        def use(connection: Connection | None) -> None:
            if connection is None:
                recorder.counts[f"failed.{Failure.CONNECT}"] += 1
                return
            stream = Stream() if kind.stream else None
            call = Call(intended, kind, recorder, stream, intended + kind.timeout_seconds, connection)
            self._calls[kind.timeout_seconds].append(call)
            self.in_flight += 1

            def done(connection: Connection, exchange: Exchange) -> None:
                call.connection = None
                self.in_flight -= 1
                record(call, exchange)
                self.pool.give(connection)
                if closed:
                    self._think(asyncio.get_running_loop())

            connection.send(request, done, stream)

        if not self.pool.take(use):
            recorder.counts[DROPPED] += 1

    def _recorder(self, intended: float, kind: int) -> Recorder:
        phase = min(bisect_right(self._phase_ends, intended - self._started), len(self._phase_ends) - 1)
        found = self._recorders.get((phase, kind))
        if found is None:
            found = self._recorders[phase, kind] = Recorder()
        return found

    # --- the end ------------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Ends the requests whose time is over. Those of one time-out are nearly in the order of their deadlines."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = perf_counter()
            for calls in self._calls.values():
                while calls and (calls[0].connection is None or calls[0].deadline < now):
                    call = calls.popleft()
                    if call.connection is not None:
                        call.connection.abort(Failure.TIMEOUT)

    async def _drain(self) -> None:
        deadline = perf_counter() + self.plan.drain_seconds_max
        while (self.in_flight or self.pool.waiting) and perf_counter() < deadline:
            await asyncio.sleep(SWEEP_SECONDS)

    def _end_all(self) -> None:
        for call in [call for calls in self._calls.values() for call in calls]:
            if call.connection is not None:
                call.connection.abort(Failure.STOPPED)
