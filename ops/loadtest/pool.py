"""The generator's connections: kept alive, never more than agreed, and requests that wait for one."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from random import Random
from typing import Protocol

from ops.loadtest.connection import Connection, Failure

CONNECTING_MAX = 64
"""Connections being made at a time: more would overflow a server's backlog."""
CONNECT_SECONDS_MAX = 10.0
IDLE_KEPT = 100
"""Connections that are lost and may stay on the list of idle ones, beside as many as are open."""


class Waiter(Protocol):
    """A request that is to be sent. ``over``: it no longer wants a connection."""

    over: bool

    def use(self, connection: Connection) -> None:
        """Gets a connection that is idle."""

    def fail(self, failure: Failure) -> None:
        """No connection could be made."""


class Pool:
    """``waiting_max`` requests may wait; what comes beyond is refused. ``hold`` connections are made before any is
    used again, and then used by chance, whether requests need so many or not."""

    def __init__(self, host: str, port: int, tls: bool, connections_max: int, waiting_max: int, chance: Random) -> None:
        self._chance = chance
        self._address = host, port
        self._tls = ssl.create_default_context() if tls else None
        self._connections_max, self._waiting_max = connections_max, waiting_max
        self._idle: list[Connection] = []
        self._waiting: deque[Waiter] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._connected: set[Connection] = set()
        self._closed = False
        self._abandoned = 0
        self.hold = 0

    @property
    def open(self) -> int:
        return len(self._connected)

    @property
    def waiting(self) -> int:
        return len(self._waiting) - self._abandoned

    def take(self, waiter: Waiter) -> bool:
        """Gives it a connection, at once or as soon as there is one. False: too many wait already."""
        # A user who is not there yet connects to ask; an idle one that never asked, servers close.
        known = self.open + len(self._connecting) >= self.hold
        while self._idle and known:
            # Any, where connections are held, as their users would (in turn would be those that the server is about to
            # close for having been idle); else the warmest, so that others can age out.
            if self.hold:
                at = int(self._chance.random() * len(self._idle))
                self._idle[at], self._idle[-1] = self._idle[-1], self._idle[at]
            connection = self._idle.pop()
            if connection.idle:
                waiter.use(connection)
                return True
        if len(self._waiting) >= self._waiting_max:
            return False
        self._waiting.append(waiter)
        self.connect()
        return True

    def give(self, connection: Connection) -> None:
        """A request is over: the next one that waits has its connection, if it can be used again."""
        if not connection.idle:
            return  # the next one that waits gets another as soon as this one is lost
        if self._waiting:
            self._waiting.popleft().use(connection)
            self._forget()
        else:
            self._idle.append(connection)

    def abandon(self, waiter: Waiter) -> None:
        """It waits no longer."""
        waiter.over = True
        self._abandoned += 1
        self._forget()

    def _forget(self) -> None:
        """So that whoever is first does wait."""
        while self._waiting and self._waiting[0].over:
            self._waiting.popleft()
            self._abandoned -= 1

    def close(self) -> None:
        self._closed = True
        for task in self._connecting:
            task.cancel()
        while self._idle:
            self._idle.pop().abort(Failure.STOPPED)

    def connect(self) -> None:
        """Begins as many connections as are wanted and allowed; to be called again when there is reason to."""
        if self._closed:
            return
        wanted = len(self._waiting) - len(self._connecting)
        room = min(self._connections_max - self.open, CONNECTING_MAX) - len(self._connecting)
        for _ in range(min(wanted, room)):
            self._connecting.add(asyncio.get_running_loop().create_task(self._make()))

    async def _make(self) -> None:
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                _, connection = await loop.create_connection(lambda: Connection(self._lost), host, port, ssl=self._tls)
        except (OSError, TimeoutError):
            self._left()
            if self._waiting:
                self._waiting.popleft().fail(Failure.CONNECT)
                self._forget()
                self.connect()
            return
        self._left()
        if self._closed:
            connection.abort(Failure.STOPPED)
        elif not connection.closed:
            self._connected.add(connection)
            self.give(connection)
        self.connect()

    def _left(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connecting.discard(task)

    def _lost(self, connection: Connection) -> None:
        self._connected.discard(connection)
        if len(self._idle) > 2 * self.open + IDLE_KEPT:
            self._idle = [one for one in self._idle if one.idle]
        self.connect()
