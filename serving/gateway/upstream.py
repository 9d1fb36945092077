"""The engines' side: one client session, a bounded number of tries within one arm, and errors in our own words."""

from __future__ import annotations

import random
from collections.abc import Callable

import aiohttp

from serving.contract import REQUEST_ID_HEADER, BadEvent, LimitsConfig
from serving.gateway.assigning import choose_endpoint
from serving.gateway.errors import Problem
from serving.gateway.routes import ArmPlan, Engine

KEEPALIVE_SECONDS = 3.0
"""Engines on uvicorn close an idle connection after 5 s; one that is about to be closed must not be used again."""
STALE_SECONDS = 0.25
"""A connection that ends this soon after a request was written had been closed before; nothing was begun."""
DOWN_SECONDS = 2.0
"""An engine that refused a connection is asked last for so long."""
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""The longest answer that is not a stream: 512 tokens with twenty logprobs each take about 1 MiB."""
BUSY = (429, 503)
"""How an engine says: ask another one."""
FAULTY = (400, 413, 422)
"""How an engine says: the request is wrong."""


class EngineFailed(Problem):
    """The engine gave no good answer: a 5xx for the client and a bad event for the arm."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        event: BadEvent | None = BadEvent.FAILED,
        retry_after_seconds: int | None = None,
        limit: str | None = None,
    ) -> None:
        super().__init__(status, code, message, retry_after_seconds=retry_after_seconds, limit=limit)
        self.event = event
        """None where the event was marked already."""


def new_session(limits: LimitsConfig) -> aiohttp.ClientSession:
    """A session without limits of its own (the door has them), without cookies, redirects or decoding."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )


class Answering:
    """An engine's answer that is under way; as a context it ends when it is left."""

    __slots__ = ("_engine", "response")

    def __init__(self, response: aiohttp.ClientResponse, engine: Engine) -> None:
        self.response = response
        self._engine = engine

    def __enter__(self) -> aiohttp.ClientResponse:
        return self.response

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Before the end of the body this closes the connection, which stops the engine's work."""
        self._engine.in_flight -= 1
        self.response.close()


class Upstream:
    """Asks engines. ``clock`` is monotonic seconds, ``chance`` draws from [0, 1)."""

    def __init__(
        self, session: aiohttp.ClientSession, limits: LimitsConfig, clock: Callable[[], float], rng: random.Random
    ) -> None:
        self._session = session
        self._attempts_max = limits.attempts_max
        self._clock = clock
        self._chance = rng.random

    async def ask(self, arm: ArmPlan, path: str, body: bytes, request_id: str) -> Answering:
        """The answer's head has come; its body is still to be read. Raises EngineFailed."""
        headers = {"Content-Type": "application/json", REQUEST_ID_HEADER: request_id}
        tried: list[Engine] = []
        while True:
            engine = choose_endpoint(arm.engines, tried, self._clock(), self._chance())
            if engine is None:
                raise EngineFailed(503, "no_engine", "the release has no engine", retry_after_seconds=1)
            tried.append(engine)
            last = len(tried) >= self._attempts_max
            engine.in_flight += 1
            try:
                response = await self._post(engine, path, body, headers, last)
            except BaseException:
                engine.in_flight -= 1
                raise
            if response is not None:
                answering = Answering(response, engine)
                if last or response.status not in BUSY:
                    return answering
                answering.end()
            else:
                engine.in_flight -= 1

    async def _post(
        self, engine: Engine, path: str, body: bytes, headers: dict[str, str], last: bool
    ) -> aiohttp.ClientResponse | None:
        """None where another try is due. Raises EngineFailed."""
        begun = self._clock()
        try:
            return await self._session.post(engine.at(path), data=body, headers=headers, allow_redirects=False)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as e:
            engine.down_until = self._clock() + DOWN_SECONDS
            if last:
                raise EngineFailed(502, "engine_unreachable", "the engine cannot be reached") from e
        except aiohttp.ClientError as e:
            if last or self._clock() - begun > STALE_SECONDS:
                raise EngineFailed(502, "engine_disconnected", "the engine ended the connection") from e
        return None


async def read_answer(response: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises EngineFailed if it does not come whole, or is beyond all bounds."""
    parts, size = [], 0
    content = response.content
    try:
        while not content.at_eof():
            chunk = await content.readany()
            parts.append(chunk)
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                raise EngineFailed(502, "answer_too_large", f"the engine's answer passed {ANSWER_BYTES_MAX} bytes")
    except aiohttp.ClientError as e:
        raise EngineFailed(502, "engine_disconnected", "the engine ended the connection in mid-answer") from e
    return parts[0] if len(parts) == 1 else b"".join(parts)


def raise_for_status(status: int, client_may_err: bool) -> None:
    """Raises EngineFailed unless the answer is good, or an error that the client caused and should read.

    Where the gateway itself wrote the request, no error is the client's. Of the others, 404 (the engine does not
    serve its model) or 401, say, are a release that is set up wrongly.
    """
    if status == 200 or (client_may_err and status in FAULTY):
        return
    if status in FAULTY:
        raise EngineFailed(502, "engine_error", f"the engine answered {status}", BadEvent.REFUSED)
    if status in BUSY:
        raise EngineFailed(503, "engine_busy", "the engine takes no more requests", retry_after_seconds=1)
    raise EngineFailed(502, "engine_error", f"the engine answered {status}")
