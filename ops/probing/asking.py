"""Asks the public API: health, models, a generation, a structured task; each answer is checked as a user would.

Every request is marked synthetic, so that it enters no target and no verdict of the service. Contents of answers are
looked at and never passed on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import jsonschema_rs

from ops.probing.judging import Sample
from ops.probing.sampling import TEXT, Unsampleable, sample
from serving.contract import SYNTHETIC_HEADER

ANSWER_BYTES_MAX = 4 * 1024 * 1024
OUTPUT_TOKENS = 16
LAG_PERIOD_SECONDS = 0.01
CHAT_PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Task:
    """What is asked of a task."""

    path: str
    task_class: str
    timeout_seconds: float


@dataclass(frozen=True)
class Target:
    """Which service is probed, and how."""

    url: str
    """Without a trailing slash."""
    synthetic_token: str
    model: str
    chat: Task
    structured: Task | None
    """None where the spec has no structured task."""
    plain_timeout_seconds: float = 5.0


class Wrong(Exception):
    """An answer that a user should not get; the text says why, without the content."""


Check = Callable[[aiohttp.ClientSession], Awaitable[None]]


async def ask_round(session: aiohttp.ClientSession, target: Target) -> list[Sample]:
    """One of each probe, one after the other. Never raises for what the service does."""
    samples = [
        await _timed(session, "health", None, target.plain_timeout_seconds, lambda s: _health(s, target)),
        await _timed(session, "models", None, target.plain_timeout_seconds, lambda s: _models(s, target)),
    ]
    chat, structured = target.chat, target.structured
    samples.append(await _timed(session, "chat", chat.task_class, chat.timeout_seconds, lambda s: _chat(s, target)))
    if structured is not None:
        try:
            body, answer = await _schemas(session, target, structured.path)
        except (Wrong, Unsampleable, aiohttp.ClientError, TimeoutError, KeyError, ValueError) as e:
            return [*samples, Sample("structured", 0.0, problem=f"its schema cannot be had: {_words(e)}")]
        name, seconds = structured.task_class, structured.timeout_seconds
        asked = await _timed(
            session, "structured", name, seconds, lambda s: _structured(s, target, structured.path, body, answer)
        )
        samples.append(asked)
    return samples


async def _timed(
    session: aiohttp.ClientSession, probe: str, task_class: str | None, timeout_seconds: float, check: Check
) -> Sample:
    problem = blind = None
    lag = asyncio.create_task(_own_lag())
    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout_seconds):
            await check(session)
    except Wrong as e:
        problem = str(e)
    except TimeoutError:
        problem = f"no answer within {timeout_seconds:g} s"
    except aiohttp.ClientConnectorDNSError:
        blind = "the host's name cannot be resolved from here"
    except aiohttp.ClientError as e:
        problem = f"the connection failed ({_words(e)})"
    latency = time.monotonic() - started
    lag.cancel()
    late = (await asyncio.gather(lag, return_exceptions=True))[0]
    return Sample(probe, latency, late if isinstance(late, float) else 0.0, task_class, problem, blind)


async def _own_lag() -> float:
    """How late this event loop was at most, until cancelled."""
    worst = 0.0
    try:
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_PERIOD_SECONDS)
            worst = max(worst, time.monotonic() - before - LAG_PERIOD_SECONDS)
    except asyncio.CancelledError:
        return worst


def _headers(target: Target) -> dict[str, str]:
    return {SYNTHETIC_HEADER: target.synthetic_token}


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body of a 200. Raises Wrong."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > ANSWER_BYTES_MAX:
            raise Wrong(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    if response.status != 200:
        raise Wrong(f"status {response.status}{_error_code(bytes(data))}")
    return bytes(data)


def _error_code(body: bytes) -> str:
    """The error's code, which is the service's own word and no content."""
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({code})" if isinstance(code, str) else ""


async def _json(response: aiohttp.ClientResponse) -> Any:
    try:
        return json.loads(await _body(response))
    except ValueError as e:
        raise Wrong("the answer is no JSON") from e


async def _health(session: aiohttp.ClientSession, target: Target) -> None:
    async with session.get(f"{target.url}/api/v1/health", headers=_headers(target)) as response:
        await _body(response)


async def _models(session: aiohttp.ClientSession, target: Target) -> None:
    async with session.get(f"{target.url}/v1/models", headers=_headers(target)) as response:
        answer = await _json(response)
    try:
        served = {model["id"] for model in answer["data"]}
    except (KeyError, TypeError) as e:
        raise Wrong("the answer is no list of models") from e
    if target.model not in served:
        raise Wrong(f"the model {target.model} is not served")


async def _chat(session: aiohttp.ClientSession, target: Target) -> None:
    """A streamed chat: some content, and the end mark."""
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": TEXT}],
        "max_tokens": OUTPUT_TOKENS,
        "stream": True,
    }
    async with session.post(target.url + target.chat.path, json=body, headers=_headers(target)) as response:
        data = await _body(response)
    events = [event.removeprefix(b"data:").strip() for event in data.split(b"\n\n") if event.startswith(b"data:")]
    if not events or events[-1] != b"[DONE]":
        raise Wrong("the stream ended without its end mark")
    try:
        deltas = [choice["delta"] for event in events[:-1] for choice in json.loads(event)["choices"]]
    except (ValueError, KeyError, TypeError) as e:
        raise Wrong("an event of the stream is no chat completion chunk") from e
    if not any(delta.get("content") for delta in deltas):
        raise Wrong("the answer is empty")


async def _schemas(session: aiohttp.ClientSession, target: Target, path: str) -> tuple[Any, dict[str, Any]]:
    """A body for the task and the schema of its answer, both from the service's own OpenAPI page."""
    async with asyncio.timeout(target.plain_timeout_seconds):
        async with session.get(f"{target.url}/openapi.json") as response:
            operation = (await _json(response))["paths"][path]["post"]
    body = sample(operation["requestBody"]["content"]["application/json"]["schema"])
    return body, operation["responses"]["200"]["content"]["application/json"]["schema"]


async def _structured(
    session: aiohttp.ClientSession, target: Target, path: str, body: Any, schema: dict[str, Any]
) -> None:
    """A task whose answer must be of its schema, and have an output."""
    async with session.post(target.url + path, json=body, headers=_headers(target)) as response:
        answer = await _json(response)
    if not isinstance(answer, dict) or "output" not in answer:
        raise Wrong("the answer has no output")
    if not jsonschema_rs.is_valid(schema, answer):
        raise Wrong("the answer is not of its schema")


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, (Wrong, Unsampleable)) else type(error).__name__
