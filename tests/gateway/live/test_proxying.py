"""The public API in front of a real (fake) engine: what clients get, and what is counted."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

pytestmark = pytest.mark.server


async def test_an_answer_passes_unchanged_and_names_its_release(gateway: Any, engine: Any) -> None:
    status, headers, body = await gateway.chat()
    assert status == 200
    assert body["choices"][0]["message"]["content"] == "Hello from the engine"
    assert headers["x-release"] == "r1"
    assert headers["x-arm"] == "stable"
    assert headers["x-request-id"] == engine.headers[0]["x-request-id"]
    assert await gateway.bad() == {}


async def test_the_openai_client_works_unchanged(gateway: Any, tools: Any) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key="any", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Hi"}]
        whole = await client.chat.completions.create(model=tools.model, messages=messages, max_tokens=8)
        assert whole.choices[0].message.content == "Hello from the engine"
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 5
        stream = await client.chat.completions.create(model=tools.model, messages=messages, max_tokens=8, stream=True)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello from the engine"
        completion = await client.completions.create(model=tools.model, prompt="Once", max_tokens=8)
        assert completion.choices[0].text == "Hello from the engine"
        assert [model.id async for model in client.models.list()] == [tools.model]
        assert (await client.models.retrieve(tools.model)).id == tools.model
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="gpt-4", messages=messages)


async def test_a_stream_passes_and_its_usage_is_counted_though_the_client_did_not_ask(
    gateway: Any, engine: Any
) -> None:
    sample = 'gateway_tokens_total{direction="completion",task="openai-chat",tier="production"}'
    before = await gateway.metric(sample)
    status, _, raw = await gateway.chat(stream=True)
    assert status == 200
    assert raw.endswith(b"data: [DONE]\n\n")
    assert b"usage" not in raw
    assert engine.requests[0]["stream_options"] == {"include_usage": True}
    assert await gateway.metric(sample) == before + 5
    assert await gateway.bad() == {}


async def test_a_client_that_asks_for_usage_gets_it(gateway: Any) -> None:
    _, _, raw = await gateway.chat(stream=True, stream_options={"include_usage": True})
    assert b'"usage":{"prompt_tokens":7' in raw


async def test_the_cap_on_output_tokens_is_put_in(gateway: Any, engine: Any) -> None:
    body = {"messages": [{"role": "user", "content": 'a "max tokens" text'}]}
    status, _, _ = await gateway.post("/v1/chat/completions", body)
    assert status == 200
    assert engine.requests[0] == {**body, "max_tokens": 512, "model": "gratefulgpt-7b"}


async def test_the_engine_gets_the_very_bytes_of_a_complete_request(gateway: Any, engine: Any, tools: Any) -> None:
    body = tools.chat_body(temperature=0.30000000000000004, extra={"a": [1, 2.50]})
    status, _, _ = await gateway.post("/v1/chat/completions", body)
    assert status == 200
    assert engine.requests[0] == body


@pytest.mark.parametrize(
    ("behaviour", "status", "event"),
    [
        ("500", 502, "failed"),
        ("404", 502, "failed"),
        ("503", 503, "failed"),
        ("die", 502, "failed"),
        ("die_in_answer", 502, "failed"),
        ("empty", 200, "empty"),
    ],
)
async def test_a_failing_engine_is_answered_clearly_and_counted_once(
    gateway: Any, engine: Any, behaviour: str, status: int, event: str
) -> None:
    engine.behaviour = behaviour
    found, headers, body = await gateway.chat()
    assert found == status
    assert headers["x-arm"] == "stable"
    if status != 200:
        assert body["error"]["type"] == "server_error"
    assert await gateway.bad() == {event: 1}


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_the_engine_takes_for_faulty_is_refused_and_the_client_reads_why(
    gateway: Any, engine: Any, status: int
) -> None:
    engine.behaviour = str(status)
    found, _, body = await gateway.chat()
    assert (found, body["error"]["message"]) == (status, "no")
    assert await gateway.bad() == {"refused": 1}


@pytest.mark.parametrize(
    ("behaviour", "event"),
    [("die_in_stream", "cut"), ("cut", "cut"), ("empty", "empty"), ("error_in_stream", "failed")],
)
async def test_a_bad_stream_is_counted(gateway: Any, engine: Any, behaviour: str, event: str) -> None:
    engine.behaviour = behaviour
    status, _, raw = await gateway.chat(stream=True)
    assert status == 200
    if event == "cut":
        assert b"[DONE]" not in raw
        assert b'"code":"stream_cut"' in raw
    assert await gateway.bad() == {event: 1}


async def test_the_openai_client_notices_a_cut_stream(gateway: Any, engine: Any, tools: Any) -> None:
    engine.behaviour = "die_in_stream"
    async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key="any", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Hi"}]
        stream = await client.chat.completions.create(model=tools.model, messages=messages, stream=True)
        with pytest.raises(openai.APIError, match="ended the stream"):
            async for _ in stream:
                pass


async def test_an_engine_that_is_down_is_tried_again_within_the_arm(
    launcher: Any, engine: Any, second_engine: Any, tools: Any
) -> None:
    gateway = await launcher.start()
    down = f"http://127.0.0.1:{tools.free_port()}"
    await gateway.push(tools.table([down, engine.url]))
    assert [(await gateway.chat())[0] for _ in range(8)] == [200] * 8
    assert await gateway.bad() == {}
    second_engine.behaviour = "503"
    await gateway.push(tools.table([second_engine.url, engine.url], epoch=2))
    assert [(await gateway.chat())[0] for _ in range(8)] == [200] * 8
    assert await gateway.bad() == {}
    cells = await gateway.cells()
    assert sum(cell.assigned for cell in cells) == 16


async def test_an_arm_whose_engines_are_all_down_fails(launcher: Any, engine: Any, tools: Any) -> None:
    gateway = await launcher.start()
    down = f"http://127.0.0.1:{tools.free_port()}"
    await gateway.push(tools.table(engine.url, canary=down, weight=10_000))
    status, headers, body = await gateway.chat()
    assert (status, headers["x-arm"], body["error"]["code"]) == (502, "canary", "engine_unreachable")
    assert engine.requests == []


async def test_synthetic_traffic_is_counted_apart(gateway: Any, tools: Any) -> None:
    sample = 'gateway_synthetic_requests_total{status="200",task="openai-chat"}'
    before = await gateway.metric(sample)
    for token in (tools.synthetic_token, "guessed"):
        marked = {"x-synthetic": token}
        status, _, _ = await gateway.post("/v1/chat/completions", tools.chat_body(), headers=marked)
        assert status == 200
    assert sum(cell.assigned for cell in await gateway.cells()) == 1
    assert await gateway.metric(sample) == before + 1


async def test_the_log_has_a_line_per_request_and_no_content(own_gateway: Any, tools: Any) -> None:
    gateway = own_gateway
    given = {"x-request-id": "caller-17"}
    await gateway.post("/v1/chat/completions", tools.chat_body(), headers=given)
    odd = {"x-request-id": "not a token"}
    await gateway.post("/v1/chat/completions", tools.chat_body(), headers=odd)

    def lines() -> list[dict[str, Any]] | None:
        found = [line for line in gateway.log_lines() if line["event"] == "request"]
        return found if len(found) == 2 else None

    first, second = await tools.until(lines, "two log lines")
    assert first["request_id"] == "caller-17"
    assert (first["arm"], first["release"], first["status"], first["usage"]["completion_tokens"]) == (
        "stable",
        "r1",
        200,
        5,
    )
    assert len(second["request_id"]) == 32
    text = gateway.log_path.read_text()
    assert "Dark Star" not in text
    assert "Hello" not in text
    assert json.dumps(tools.admin_key) not in text
