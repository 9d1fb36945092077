"""A server that answers as a test's script says, to the byte."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REQUEST = b"POST /v1/x HTTP/1.1\r\nhost: fake\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Caller:
    """One connection, as the server sees it."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return head + await self.reader.readexactly(length)

    async def say(self, *pieces: bytes) -> None:
        """Each piece in a packet of its own."""
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0.002)
            self.writer.write(piece)
            await self.writer.drain()

    def reset(self) -> None:
        """Ends the connection with a RST."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Caller], Awaitable[None]]


@dataclass
class FakeServer:
    port: int
    callers: list[Caller] = field(default_factory=list)


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeServer]:
    """Runs ``script`` for each connection, and closes the connection after it."""
    found = FakeServer(0)

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(len(found.callers), reader, writer)
        found.callers.append(caller)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await script(caller)
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0, ssl=tls, backlog=1000)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for caller in found.callers:
            caller.writer.transport.abort()


async def answering(caller: Caller) -> None:
    """Every request at once, for as long as it likes."""
    while True:
        await caller.request()
        await caller.say(OK)


async def until(holds: Callable[[], bool], seconds_max: float = 20.0) -> None:
    """Raises TimeoutError where it never does."""
    async with asyncio.timeout(seconds_max):
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)
