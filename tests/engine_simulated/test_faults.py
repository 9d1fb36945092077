"""Faults, set while the engine runs: each as a client sees it, repeatable by the seed, and gone when taken back."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

pytestmark = pytest.mark.server

PATH = "/v1/chat/completions"


def chat(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 12, "ignore_eos": True, **fields}


@pytest.fixture
async def http(engine: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(engine.url, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def ask(http: aiohttp.ClientSession, **fields: Any) -> tuple[int, Any]:
    async with http.post(PATH, json=chat(**fields)) as answer:
        return answer.status, await answer.json()


async def set_faults(engine: Any, **faults: object) -> None:
    await asyncio.to_thread(engine.set_faults, **faults)


@pytest.mark.parametrize(
    ("fault", "status", "type_"),
    [
        ("error_rate", 500, "InternalServerError"),
        ("refuse_rate", 503, "Service Unavailable"),
        ("reject_rate", 400, "BadRequestError"),
    ],
)
async def test_errors_and_refusals(
    http: aiohttp.ClientSession, engine: Any, fault: str, status: int, type_: str
) -> None:
    await set_faults(engine, **{fault: 1.0})
    got, body = await ask(http)
    assert (got, body["error"]["type"], body["error"]["code"]) == (status, type_, status)
    await set_faults(engine)
    assert (await ask(http))[0] == 200


async def test_a_hanging_request_is_never_answered_and_ends_with_its_client(
    http: aiohttp.ClientSession, engine: Any
) -> None:
    await set_faults(engine, hang_rate=1.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await ask(http)
    await set_faults(engine)
    assert (await ask(http))[0] == 200


async def test_a_cut_stream_has_text_and_no_end(http: aiohttp.ClientSession, engine: Any) -> None:
    await set_faults(engine, cut_rate=1.0)
    seen = b""

    async def read() -> None:
        nonlocal seen
        async with http.post(PATH, json=chat(stream=True, max_tokens=200)) as answer:
            assert answer.status == 200
            async for part in answer.content.iter_any():
                seen += part

    with pytest.raises(aiohttp.ClientPayloadError):
        await read()
    assert b'"content":"' in seen
    assert b"[DONE]" not in seen
    assert b'"finish_reason":"' not in seen
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(http)
    await asyncio.to_thread(
        engine.wait_until, "nothing left", lambda: engine.metric("vllm:num_requests_running") == 0
    )


@pytest.mark.parametrize("constraint", [{}, {"structured_outputs": {"json": {"type": "object"}}}])
async def test_empty_answers(http: aiohttp.ClientSession, engine: Any, constraint: dict[str, Any]) -> None:
    await set_faults(engine, empty_rate=1.0)
    status, body = await ask(http, **constraint)
    assert status == 200
    assert body["choices"][0]["message"]["content"] == ""
    assert (body["choices"][0]["finish_reason"], body["usage"]["completion_tokens"]) == ("stop", 1)
    async with http.post(PATH, json=chat(stream=True, **constraint)) as answer:
        text = await answer.text()
    deltas = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert not any(choice["delta"].get("content") for delta in deltas for choice in delta["choices"])
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("constraint", [{}, {"structured_outputs": {"json": {"type": "object"}}}])
async def test_repeated_answers(http: aiohttp.ClientSession, engine: Any, constraint: dict[str, Any]) -> None:
    await set_faults(engine, repeat_rate=1.0)
    _, body = await ask(http, **constraint)
    words = body["choices"][0]["message"]["content"].split()
    assert len(words) == 12
    assert len(set(words)) == 1
    assert body["choices"][0]["finish_reason"] == "length"


async def test_a_model_that_declines_says_so_in_the_finish_reason(http: aiohttp.ClientSession, engine: Any) -> None:
    await set_faults(engine, decline_rate=1.0)
    _, body = await ask(http)
    assert (body["choices"][0]["message"]["content"], body["choices"][0]["finish_reason"]) == ("", "content_filter")
    async with http.post(PATH, json=chat(stream=True)) as answer:
        assert '"finish_reason":"content_filter"' in await answer.text()


async def test_a_slowdown_shows_in_the_engines_own_latency(http: aiohttp.ClientSession, engine: Any) -> None:
    async def mean_seconds() -> float:
        name = "vllm:request_time_per_output_token_seconds"
        before = [await asyncio.to_thread(engine.metric, f"{name}_{part}") for part in ("sum", "count")]
        await asyncio.gather(*(ask(http, max_tokens=50) for _ in range(4)))
        after = [await asyncio.to_thread(engine.metric, f"{name}_{part}") for part in ("sum", "count")]
        return float((after[0] - before[0]) / (after[1] - before[1]))

    usual = await mean_seconds()
    await set_faults(engine, slowdown=3.0)
    assert 2.5 * usual < await mean_seconds() < 3.5 * usual


async def test_a_stalled_engine_takes_requests_in_and_answers_when_it_recovers(
    http: aiohttp.ClientSession, engine: Any
) -> None:
    await set_faults(engine, stalled=True)
    asking = asyncio.create_task(ask(http))
    await asyncio.to_thread(
        engine.wait_until, "it waits", lambda: engine.metric("vllm:num_requests_waiting") == 1
    )
    assert await asyncio.to_thread(engine.is_up)
    assert not asking.done()
    await set_faults(engine)
    assert (await asking)[0] == 200


async def test_a_cold_engine_is_not_healthy_and_refuses(http: aiohttp.ClientSession, engine: Any) -> None:
    await set_faults(engine, cold_start_seconds=600)
    async with http.get("/health") as answer:
        assert answer.status == 503
    assert (await ask(http))[0] == 503
    await set_faults(engine)
    assert (await ask(http))[0] == 200


@pytest.mark.parametrize(
    "body", [b'{"bogus": 1}', b'{"error_rate": 2}', b'{"slowdown": 0}', b'{"slowdown": "fast"}', b"nonsense"]
)
async def test_wrong_faults_are_refused_and_change_nothing(
    http: aiohttp.ClientSession, engine: Any, body: bytes
) -> None:
    await set_faults(engine, slowdown=2.0)
    async with http.put("/simulated/faults", data=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == "faults"
    async with http.get("/simulated/faults") as answer:
        assert (await answer.json())["slowdown"] == 2.0


async def test_faults_come_at_their_rate_and_repeat_with_the_seed(start_engine: Any) -> None:
    profile = {"seed": 11, "faults": {"error_rate": 0.3, "empty_rate": 0.2}}
    runs = []
    for _ in range(2):
        engine = start_engine(profile)
        async with aiohttp.ClientSession(engine.url) as http:
            runs.append([(await ask(http, seed=1, max_tokens=2))[0] for _ in range(60)])
        engine.stop()
    assert runs[0] == runs[1]
    assert 8 <= Counter(runs[0])[500] <= 30
