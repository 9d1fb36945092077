"""Sends a plan's requests on time and measures what comes back. Runs on uvloop, in a process of its own.

Latency counts from the intended start: a request that waits for a connection waits at the user's expense.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from math import ceil
from random import Random
from time import perf_counter

from ops.loadtest.alarm import Alarm
from ops.loadtest.arrivals import Segment, arrivals
from ops.loadtest.calls import DROPPED, INTENDED, Call
from ops.loadtest.connection import Connection, Failure
from ops.loadtest.plan import Plan
from ops.loadtest.pool import Pool
from ops.loadtest.recording import Recorded, Recorder

SWEEP_SECONDS = 0.05
"""How often time-outs, users and the end are looked for."""
WAIT_SECONDS_MAX = 0.05
"""After which a wait for the next arrival looks whether the run was stopped, or its share changed."""
BURST_MAX = 64
"""Requests sent before what came is read: one that lags must not be deaf as well."""
CALLS_KEPT = 10_000
"""Requests that are over and may stay on the lists of time-outs."""


class Driver:
    """``share`` is this generator's part of the rate, 0 to 1; ``users`` are those of a closed plan."""

    def __init__(self, plan: Plan, share: float = 1.0, users: int = 0, calls_kept: int = CALLS_KEPT) -> None:
        self._calls_kept = calls_kept
        self.plan, self.share, self.users = plan, share, users
        connections = Random(plan.seed)  # noqa: S311 - of its own: requests do not depend on how connections fare
        self.pool = Pool(plan.host, plan.port, plan.tls, plan.connections_max, plan.waiting_max, connections)
        self._shares: deque[tuple[float, float]] = deque()
        """From so many seconds on it is to be this; what was due before goes by the share that it was then."""
        self._pending = 0
        """Requests that were due and are not over, those that wait for a connection included."""
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
        self.adjust(self.share, self.users)
        sweeping = asyncio.create_task(self._sweep())
        try:
            await (self._arrive() if self.plan.rates else self._keep_users())
            await self._drain()
        finally:
            sweeping.cancel()
            self._stopped = True
            self._end_all()
            self.pool.close()

    def adjust(self, share: float, users: int) -> None:
        """While it runs, too."""
        if share != self.share:
            self._shares.append((self.elapsed_seconds, share))
        self.share, self.users = share, users
        # A generator that takes over a lost one's share must not wait for connections that it may not make.
        self.pool.hold = min(round(self.plan.connections_held * share), self.plan.connections_max)

    def stop(self) -> None:
        self._stopped = True

    @property
    def in_flight(self) -> int:
        return self._pending - self.pool.waiting

    @property
    def calls_listed(self) -> int:
        """On the lists of time-outs, those included that are over."""
        return sum(map(len, self._calls.values()))

    @property
    def elapsed_seconds(self) -> float:
        return perf_counter() - self._started if self._started else 0.0

    def taken(self) -> dict[tuple[int, int], Recorded]:
        """What was recorded since the last call, by phase and kind."""
        return {key: recorder.taken() for key, recorder in self._recorders.items()}

    # --- when ---------------------------------------------------------------------------------------------------

    async def _arrive(self) -> None:
        shape = [Segment(rate.seconds, rate.start, rate.end) for rate in self.plan.rates]
        since, share = 0.0, self.share
        alarm = Alarm()
        try:
            while not self._over:
                if not share:
                    await asyncio.sleep(SWEEP_SECONDS)
                elif await self._arrive_at(arrivals(shape, self.plan.process, self._chance, share, since), alarm):
                    return
                if self._shares:
                    since, share = self._shares.popleft()
        finally:
            alarm.close()

    async def _arrive_at(self, offsets: Iterator[float], alarm: Alarm) -> bool:
        """Until they are over, which is true, or another share is due."""
        for number, offset in enumerate(offsets):
            if not number % BURST_MAX:
                await asyncio.sleep(0)
            intended = self._started + offset
            while True:
                if self._stopped or (self._shares and self._shares[0][0] <= offset):
                    return False
                now = perf_counter()
                if now >= intended:
                    break
                await alarm.until(min(intended, now + WAIT_SECONDS_MAX))
            self._request(intended)
        return True

    @property
    def _over(self) -> bool:
        return self._stopped or self.elapsed_seconds >= self.plan.seconds

    async def _keep_users(self) -> None:
        """As many users as there should be; one more begins as soon as it is seen to be missing."""
        while not self._over:
            for _ in range(self.users - self._pending - self._thinking):
                self._think(first=True)
            await asyncio.sleep(SWEEP_SECONDS)

    def _think(self, first: bool = False) -> None:
        """A closed user's pause. The first is of any length up to the mean, so that users do not march in step."""
        mean = self.plan.think_seconds
        pause = self._chance.random() * mean if first else self._chance.expovariate(1 / mean) if mean else 0.0
        self._thinking += 1
        asyncio.get_running_loop().call_later(pause, self._thought, perf_counter() + pause)

    def _thought(self, intended: float) -> None:
        self._thinking -= 1
        if not self._over and self._pending + self._thinking < self.users:
            self._request(min(intended, perf_counter()))  # a timer may be early by a part of a millisecond

    # --- what ---------------------------------------------------------------------------------------------------

    def _request(self, intended: float) -> None:
        index, request = self.plan.requests[int(self._chance.random() * len(self.plan.requests))]
        kind = self.plan.kinds[index]
        recorder = self._recorder(intended, index)
        recorder.counts[INTENDED] += 1
        call = Call(intended, kind, request, recorder, self._ended, intended + kind.timeout_seconds)
        self._pending += 1
        self._calls[kind.timeout_seconds].append(call)
        if not self.pool.take(call):
            self._pending -= 1
            call.over = True
            recorder.counts[DROPPED] += 1

    def _ended(self, connection: Connection | None) -> None:
        self._pending -= 1
        if connection is not None:
            self.pool.give(connection)
            if not self.plan.rates:
                self._think()

    def _recorder(self, intended: float, kind: int) -> Recorder:
        phase = min(bisect_right(self._phase_ends, intended - self._started), len(self._phase_ends) - 1)
        found = self._recorders.get((phase, kind))
        if found is None:
            found = self._recorders[phase, kind] = Recorder()
        return found

    # --- the end ------------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Ends the requests whose time is over: those of one time-out stand in the order of their deadlines."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = perf_counter()
            for calls in self._calls.values():
                while calls and (calls[0].over or calls[0].deadline < now):
                    self._end(calls.popleft(), Failure.TIMEOUT)
            self._tidy()
            self.pool.connect()

    def _tidy(self) -> None:
        """One request that takes long must not keep the many that came after it and are over."""
        if self.calls_listed > 2 * self._pending + self._calls_kept:
            for timeout, calls in self._calls.items():
                self._calls[timeout] = deque(call for call in calls if not call.over)

    async def _drain(self) -> None:
        for _ in range(ceil(self.plan.drain_seconds_max / SWEEP_SECONDS)):
            if not self._pending:
                return
            await asyncio.sleep(SWEEP_SECONDS)

    def _end_all(self) -> None:
        for call in [call for calls in self._calls.values() for call in calls]:
            self._end(call, Failure.STOPPED)

    def _end(self, call: Call, failure: Failure) -> None:
        if call.over:
            return
        if call.connection is not None:
            call.connection.abort(failure)
        else:
            self.pool.abandon(call)
            call.fail(failure)
