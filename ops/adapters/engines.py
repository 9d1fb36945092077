"""Engines, asked directly: warm-up requests that no user waits for and no counter sees."""

from __future__ import annotations

import asyncio

import aiohttp

from ops.rollout.observing import Checked
from ops.rollout.plan import Warmup

_REQUEST_TIMEOUT_SECONDS = 60.0
_OUTPUT_TOKENS = 16
# Lengths of prompts, so that the kernels and caches of short and of longer ones are both warm.
_PROMPT_WORDS = (8, 60, 250)
_SUCCESS_RATE_MIN = 0.5
"""A replica that fails more of its warm-up than this is not put before users. Finer judgement is the judge's."""


async def warm_up(session: aiohttp.ClientSession, url: str, model_name: str, warmup: Warmup) -> Checked:
    """Sends the replica its warm-up requests, a few at a time, within ``warmup.seconds_max``."""
    if not warmup.requests_per_replica:
        return Checked(True, "no warm-up is asked for")
    places = asyncio.Semaphore(warmup.concurrency)
    errors: list[str] = []

    async def one(number: int) -> None:
        async with places:
            if error := await _ask(session, url, model_name, number):
                errors.append(error)

    try:
        async with asyncio.timeout(warmup.seconds_max), asyncio.TaskGroup() as group:
            for number in range(warmup.requests_per_replica):
                group.create_task(one(number))
    except TimeoutError:
        asked, limit = warmup.requests_per_replica, warmup.seconds_max
        return Checked(False, f"{url} did not answer {asked} requests within {limit:g} s")
    good = warmup.requests_per_replica - len(errors)
    if good < _SUCCESS_RATE_MIN * warmup.requests_per_replica:
        return Checked(False, f"{len(errors)} of {warmup.requests_per_replica} requests failed: {errors[0]}")
    return Checked(True, f"{good} of {warmup.requests_per_replica} requests answered")


async def _ask(session: aiohttp.ClientSession, url: str, model_name: str, number: int) -> str | None:
    """Why it failed, or None."""
    words = _PROMPT_WORDS[number % len(_PROMPT_WORDS)]
    body = {
        "model": model_name,
        "messages": [{"role": "user", "content": f"Warm-up {number}:" + " song" * words}],
        "max_tokens": _OUTPUT_TOKENS,
    }
    timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_SECONDS)
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body, timeout=timeout) as response:
            await response.read()
            return None if response.status == 200 else f"status {response.status}"
    except (aiohttp.ClientError, TimeoutError) as e:
        return type(e).__name__
