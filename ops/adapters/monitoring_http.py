"""One bounded question to a server of the monitoring, and every way in which it can fail to answer.

Prometheus, Alertmanager and their like speak JSON over HTTP; nothing of an HTTP library leaves this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec

T = TypeVar("T")

TIMEOUT_SECONDS = 10.0
BODY_BYTES_MAX = 32 * 1024 * 1024
WORDS_MAX = 300
"""Of what a server says in an error."""


class MonitoringError(Exception):
    """A server of the monitoring does not do what is asked of it. The message names it; nothing was learnt."""


class Unreachable(MonitoringError):
    """It is down, or does not answer in time. Worth another try."""


class Refused(MonitoringError):
    """It answered, and did not do it. Another try needs something changed."""


class Rubbish(MonitoringError):
    """Its answer is not that of the server that it is taken for."""


class TooOld(MonitoringError):
    """It lacks what is needed."""


@dataclass(frozen=True)
class Server:
    """``name`` as people call it; ``url`` without a trailing slash."""

    name: str
    url: str

    async def ask(self, path: str, kind: type[T]) -> T:
        """GET. Raises MonitoringError."""
        return self._decoded(await self.send("GET", path), kind)

    async def tell(self, path: str, content: object, kind: type[T]) -> T:
        """POST of JSON. Raises MonitoringError."""
        return self._decoded(await self.send("POST", path, content), kind)

    async def send(self, method: str, path: str, content: object = None) -> bytes:
        """The body of a plain success. Raises MonitoringError."""
        body = None if content is None else msgspec.json.encode(content)
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)) as session,
                session.request(method, self.url + path, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                said = await _read(answer)
                status = answer.status
        except TimeoutError as e:
            raise Unreachable(f"{self.name} at {self.url} did not answer within {TIMEOUT_SECONDS:g} s") from e
        except (aiohttp.ClientError, ValueError) as e:  # ValueError: an address that is none
            raise Unreachable(f"{self.name} at {self.url} cannot be reached: {type(e).__name__}") from e
        if len(said) > BODY_BYTES_MAX:
            raise Rubbish(f"{self.name} at {self.url} answered with more than {BODY_BYTES_MAX:,} bytes")
        if not 200 <= status < 300:
            what = f"{method} {path.partition('?')[0]}"
            raise Refused(f"{self.name} at {self.url} refused {what}: {status} {_words(said)}")
        return said

    def _decoded(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as e:
            raise Rubbish(f"{self.name} at {self.url} answered with something else than its API's JSON") from e


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """One byte too many tells that there is too much."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            break
    return bytes(body[: BODY_BYTES_MAX + 1])


def _words(said: bytes) -> str:
    """An error's text on one line, fit for a terminal."""
    text = said[: WORDS_MAX * 4].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))[:WORDS_MAX]


def release(version: str) -> tuple[int, ...]:
    """``2.42.0+ds`` is (2, 42); empty if it is no version."""
    numbers = []
    for part in version.split(".")[:2]:
        if not part.isdigit():
            return ()
        numbers.append(int(part))
    return tuple(numbers)
