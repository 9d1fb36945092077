"""Prometheus as the source of the judge's counters: its raw samples, and every way in which it can fail to give them.

The library speaks the API; what it lets pass is caught on its session's way back (``_Checking``): it knows no limit of
time or size for a body, drops warnings, and takes an answer's form for granted.
"""

from __future__ import annotations

import asyncio
import io
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
import requests
import urllib3
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect

from ops.adapters.prometheus_scrapes import NAMES, Series, scrapes
from ops.rollout.counted import CountersError, Scrape

TIMEOUT_SECONDS = 2
"""As for a worker that is asked directly: an answer that comes later is of no use to the tick."""
BODY_BYTES_MAX = 32 * 1024 * 1024
SERIES_MAX = 50_000
"""Far above 32 workers with ten tiers; below what would stop the controller's clock while it is read."""
CHUNK_BYTES = 64 * 1024
WORDS_MAX = 200
"""Of what Prometheus says in an error."""
WINDOW_AGES = 2
"""How far back samples are asked for, in the greatest age that the judge accepts: older ones tell why it is blind."""


class _Envelope(msgspec.Struct):
    status: str
    error: str = ""
    warnings: list[str] = []


class PrometheusCounters:
    """Scrapes of the gateway job. One question at a time; ``close`` when done."""

    def __init__(self, url: str, *, job: str, age_seconds_max: float):
        session = requests.Session()
        # As everything else that the controller speaks with: no proxy and no password from the environment.
        session.trust_env = False
        session.hooks["response"].append(_Checking(TIMEOUT_SECONDS, BODY_BYTES_MAX))
        # No second try: the next tick is one.
        self._api = PrometheusConnect(
            url.rstrip("/"), session=session, retry=urllib3.Retry(0), timeout=TIMEOUT_SECONDS
        )
        self._query = range_selector(job, WINDOW_AGES * age_seconds_max)
        self._thread = ThreadPoolExecutor(1, "prometheus")
        self._asked: Future[tuple[Scrape, ...]] | None = None

    async def scrapes(self) -> tuple[Scrape, ...]:
        """Raises CountersError."""
        if self._asked is not None and not self._asked.done():
            raise CountersError("Prometheus still owes the answer to the question before")
        self._asked = self._thread.submit(self._ask)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self._asked), TIMEOUT_SECONDS)
        except TimeoutError as e:
            raise CountersError(f"Prometheus did not answer within {TIMEOUT_SECONDS:g} s") from e

    def _ask(self) -> tuple[Scrape, ...]:
        try:
            result = self._api.custom_query(self._query)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as e:
            if _was_late(e):
                raise CountersError(f"Prometheus did not answer within {TIMEOUT_SECONDS:g} s") from e
            raise CountersError(f"Prometheus cannot be reached: {type(e).__name__}") from e
        except (PrometheusApiClientException, LookupError, TypeError) as e:
            raise CountersError("Prometheus answered with something else than its API's JSON") from e
        return read(result)

    def close(self) -> None:
        """Does not wait for an answer that is late; it ends by itself within a few time-outs."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._api.close()


def range_selector(job: str, window_seconds: float) -> str:
    """All that is needed in one question, so that it is answered as of one instant."""
    quoted = job.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{__name__=~"{"|".join(NAMES)}",job="{quoted}"}}[{round(window_seconds * 1000)}ms]'


def read(result: object) -> tuple[Scrape, ...]:
    """Raises CountersError if it is not the answer to a range selector, if it is empty, or too long."""
    if not isinstance(result, list):
        raise CountersError("Prometheus answered with something else than series")
    if not result:
        raise CountersError("Prometheus knows no recent samples of the gateway's job")
    if len(result) > SERIES_MAX:
        raise CountersError(f"Prometheus answered with {len(result):,} series, and {SERIES_MAX:,} are the limit")
    try:
        found = msgspec.convert(result, type=list[Series])
    except msgspec.ValidationError as e:
        raise CountersError("Prometheus answered with something else than raw samples") from e
    return scrapes(found)


@dataclass(frozen=True)
class _Checking:
    """A hook of the session: reads the body within its bounds and refuses what is not a plain success."""

    timeout_seconds: float
    bytes_max: int

    def __call__(self, response: requests.Response, *_args: object, **_kwargs: object) -> None:
        body = self._body(response)
        try:
            envelope = msgspec.json.decode(body, type=_Envelope)
        except msgspec.DecodeError as e:
            words = "with something else than its API's JSON"
            said = f"{response.status_code}, {words}" if response.status_code != requests.codes.ok else words
            raise CountersError(f"Prometheus answered {said}") from e
        if response.status_code != requests.codes.ok or envelope.status != "success":
            why = envelope.error or f"status {envelope.status!r}"
            raise CountersError(f"Prometheus answered {response.status_code} with an error: {why[:WORDS_MAX]}")
        if envelope.warnings:
            raise CountersError(f"Prometheus warns that its answer may lack data: {envelope.warnings[0][:WORDS_MAX]}")
        response.raw = io.BytesIO(body)

    def _body(self, response: requests.Response) -> bytes:
        end = time.monotonic() + self.timeout_seconds
        body = bytearray()
        for chunk in response.raw.stream(CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self.bytes_max:
                response.close()
                raise CountersError(f"Prometheus answered with more than {self.bytes_max:,} bytes")
            if time.monotonic() > end:
                response.close()
                raise CountersError(f"Prometheus did not end its answer within {self.timeout_seconds:g} s")
        return bytes(body)


def _was_late(error: Exception) -> bool:
    """A time-out comes as a connection's error that holds it, or that holds the end of all tries for its reason."""
    parts = (error, *error.args)
    reasons = (getattr(part, "reason", None) for part in parts)
    # (A refused connection's reason is a time-out too, by its class.)
    return any(isinstance(part, requests.Timeout | urllib3.exceptions.TimeoutError) for part in parts) or any(
        isinstance(reason, urllib3.exceptions.ReadTimeoutError) for reason in reasons
    )
