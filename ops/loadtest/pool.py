"""The generator's connections: kept alive, never more than agreed, and requests that wait for one."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable

from ops.loadtest.connection import Connection, Failure

CONNECTING_MAX = 64
"""Connections being made at a time: more would overflow a server's backlog."""
CONNECT_SECONDS_MAX = 10.0

Use = Callable[[Connection | None], None]
"""Gets a connection that is idle, or None where none could be made."""


class Pool:
    """``waiting_max`` requests may wait; what comes beyond is refused."""

    def __init__(self, host: str, port: int, tls: bool, connections_max: int, waiting_max: int) -> None:
        self._address = host, port
        self._tls = ssl.create_default_context() if tls else None
        self._connections_max, self._waiting_max = connections_max, waiting_max
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Use] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self.open = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, use: Use) -> bool:
        """Calls ``use`` with a connection, at once or as soon as there is one. False: too many wait already."""
        while self._idle:
            connection = self._idle.pop()
            if connection.idle:
                use(connection)
                return True
            self.open -= 1
        if len(self._waiting) >= self._waiting_max:
            return False
        self._waiting.append(use)
        self._connect()
        return True

    def give(self, connection: Connection) -> None:
        """A request is over: the next one that waits has its connection, if it can be used again."""
        if not connection.idle:
            self.open -= 1
            self._connect()
        elif self._waiting:
            self._waiting.popleft()(connection)
        else:
            self._idle.append(connection)

    def close(self) -> None:
        for task in self._connecting:
            task.cancel()
        for connection in self._idle:
            connection.abort(Failure.STOPPED)

    def _connect(self) -> None:
        wanted = len(self._waiting) - len(self._connecting)
        room = min(self._connections_max - self.open, CONNECTING_MAX) - len(self._connecting)
        for _ in range(min(wanted, room)):
            task = asyncio.get_running_loop().create_task(self._connected())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connected(self) -> None:
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                _, connection = await loop.create_connection(Connection, host, port, ssl=self._tls)
        except (OSError, TimeoutError):
            if self._waiting:
                self._waiting.popleft()(None)
            return
        self.open += 1
        self.give(connection)
        loop.call_soon(self._connect)
