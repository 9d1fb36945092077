"""What HTTP asks of a client, against servers that answer well, badly and not at all."""

from __future__ import annotations

import asyncio

import pytest

from ops.loadtest.connection import HEAD_BYTES_MAX, Connection, Exchange, Failure

from .fake_http import OK, REQUEST, Caller, answering, serving, until

pytestmark = pytest.mark.server

SECONDS_MAX = 20.0
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
UNTIL_END = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"


class Body:
    def __init__(self) -> None:
        self.data, self.times = b"", []

    def feed(self, data: bytes, at: float) -> None:
        self.data += data
        self.times.append(at)


async def connected(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


async def asked(connection: Connection) -> tuple[Exchange, bytes]:
    """One request, and what came of it."""
    done: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    body = Body()
    connection.send(REQUEST, lambda _, exchange: done.set_result(exchange), body)
    return await asyncio.wait_for(done, SECONDS_MAX), body.data


def saying(*pieces: bytes, stay: bool = True):
    async def script(caller: Caller) -> None:
        await caller.request()
        await caller.say(*pieces)
        if stay:
            await caller.request()

    return script


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((OK,), b"ok"),
        (tuple(OK[i : i + 1] for i in range(len(OK))), b"ok"),
        ((CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",), b"abcde"),
        ((CHUNKED, b"3\r", b"\nab", b"c\r\n", b"0\r\ntrailer: t\r\n", b"\r\n"), b"abc"),
        ((INTERIM[0], INTERIM[1], OK), b"ok"),
        ((INTERIM[0] + INTERIM[1] + OK,), b"ok"),
        ((INTERIM[0] + OK[:20], OK[20:]), b"ok"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
        ((b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",), b"busy"),
    ],
)
async def test_an_answer_is_whole_however_it_is_cut(pieces, body):
    async with serving(saying(*pieces)) as server:
        connection = await connected(server.port)
        exchange, came = await asked(connection)
    assert exchange.failure is None
    assert exchange.status in (200, 204, 503)
    assert came == body
    assert exchange.sent <= exchange.first_byte <= exchange.ended
    assert connection.idle


async def test_a_connection_is_kept_and_used_again():
    async with serving(answering) as server:
        connection = await connected(server.port)
        for _ in range(5):
            assert (await asked(connection))[0].status == 200
        assert len(server.callers) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_that_is_to_end_is_not_used_again(answer):
    async with serving(saying(answer)) as server:
        connection = await connected(server.port)
        exchange, body = await asked(connection)
        assert (exchange.failure, body) == (None, b"ok")
        assert not connection.idle
        with pytest.raises(RuntimeError):
            connection.send(REQUEST, lambda *_: None)


@pytest.mark.parametrize(
    "pieces",
    [
        (UNTIL_END + b"all of it",),
        (UNTIL_END[:9], UNTIL_END[9:30], UNTIL_END[30:], b"all of it"),
        (INTERIM[0] + INTERIM[1] + UNTIL_END, b"all ", b"of it"),
    ],
)
async def test_a_body_without_length_ends_with_the_connection(pieces):
    async with serving(saying(*pieces, stay=False)) as server:
        exchange, body = await asked(await connected(server.port))
    assert (exchange.failure, exchange.status, body) == (None, 200, b"all of it")


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"HTTP/1.1 200",),
        INTERIM,
        (INTERIM[0] + b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",),
        (CHUNKED + b"5\r\nhello\r\n",),
        (CHUNKED[:20], CHUNKED[20:], b"5\r\nhello\r\n"),
    ],
)
async def test_an_answer_that_breaks_off_is_no_answer(pieces):
    async with serving(saying(*pieces, stay=False)) as server:
        connection = await connected(server.port)
        exchange, _ = await asked(connection)
    assert exchange.failure is Failure.CLOSED
    assert not connection.idle


async def test_a_reset_is_told_from_the_end_of_a_body():
    async def script(caller: Caller) -> None:
        await caller.request()
        await caller.say(UNTIL_END + b"half of it")
        caller.reset()

    async with serving(script) as server:
        exchange, _ = await asked(await connected(server.port))
    assert exchange.failure is Failure.CLOSED


@pytest.mark.parametrize(
    "pieces",
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n",),
        (b"\x16\x03\x01\x00\x05hello",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok",),
        (CHUNKED + b"zz\r\nabc\r\n",),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxyz",),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * HEAD_BYTES_MAX,),
    ],
)
async def test_what_is_no_answer_ends_the_connection(pieces):
    async with serving(saying(*pieces)) as server:
        connection = await connected(server.port)
        exchange, _ = await asked(connection)
    assert exchange.failure is Failure.PROTOCOL
    assert not connection.idle


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_ones():
    async with serving(saying(OK + OK.replace(b"ok", b"no"))) as server:
        connection = await connected(server.port)
        exchanges = []

        def again(connection: Connection, exchange: Exchange) -> None:
            exchanges.append(exchange)
            if len(exchanges) == 1:
                connection.send(REQUEST, again)

        connection.send(REQUEST, again)
        await until(lambda: connection.closed)
    assert [exchange.failure for exchange in exchanges] == [None, Failure.PROTOCOL]


async def test_words_on_an_idle_connection_end_it():
    async with serving(saying(OK, b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")) as server:
        connection = await connected(server.port)
        assert (await asked(connection))[0].failure is None
        await until(lambda: not connection.idle)
        assert connection.closed


async def test_a_request_is_over_once_when_it_is_aborted_and_the_loss_is_told():
    lost, ended = asyncio.Event(), []
    async with serving(saying()) as server:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(lambda _: lost.set()), "127.0.0.1", server.port)
        connection.send(REQUEST, lambda _, exchange: ended.append(exchange.failure))
        connection.abort(Failure.TIMEOUT)
        await asyncio.wait_for(lost.wait(), SECONDS_MAX)
    assert ended == [Failure.TIMEOUT]


async def test_a_body_that_is_refused_ends_the_request():
    class Refusing:
        def feed(self, data: bytes, at: float) -> None:
            raise ValueError("too long")

    async with serving(saying(OK)) as server:
        connection = await connected(server.port)
        done: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        connection.send(REQUEST, lambda _, exchange: done.set_result(exchange), Refusing())
        exchange = await asyncio.wait_for(done, SECONDS_MAX)
    assert exchange.failure is Failure.PROTOCOL
