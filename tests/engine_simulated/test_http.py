"""The API of a real engine process: answers, streams, errors, cancellation, metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jsonschema_rs
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.server

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
SCHEMA = {
    "type": "object",
    "properties": {"songs": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 3},
                   "mood": {"enum": ["calm", "wild"]}},
    "required": ["songs", "mood"],
    "additionalProperties": False,
}  # fmt: skip


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "sim", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 6, **fields}


def completion(**fields: Any) -> dict[str, Any]:
    return {"model": "sim", "prompt": "hello there", "max_tokens": 6, **fields}


@pytest.fixture
async def http(engine: Any) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(engine.url, timeout=timeout) as session:
        yield session


async def post(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with http.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def stream(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a stream; asserts its framing."""
    async with http.post(path, json={**body, "stream": True}) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        text = await answer.text()
    assert text.endswith("data: [DONE]\n\n")
    events = text.split("\n\n")[:-2]
    assert all(event.startswith("data: ") for event in events)
    return [json.loads(event.removeprefix("data: ")) for event in events]


async def test_a_chat_is_answered_with_its_usage(http: aiohttp.ClientSession) -> None:
    status, body = await post(http, CHAT, chat(ignore_eos=True))
    assert status == 200
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"]
    assert body["choices"][0]["finish_reason"] == "length"
    usage = body["usage"]
    assert usage["completion_tokens"] == 6
    assert usage["total_tokens"] == usage["prompt_tokens"] + 6


async def test_usage_agrees_with_the_tokenizer(http: aiohttp.ClientSession) -> None:
    messages = chat()["messages"]
    _, counted = await post(http, "/tokenize", {"messages": messages})
    _, body = await post(http, CHAT, chat(ignore_eos=True, max_tokens=40))
    _, answered = await post(http, "/tokenize", {"prompt": body["choices"][0]["message"]["content"]})
    assert body["usage"]["prompt_tokens"] == counted["count"]
    assert answered["count"] == 40
    _, back = await post(http, "/detokenize", {"tokens": answered["tokens"]})
    assert back["prompt"] == body["choices"][0]["message"]["content"]


async def test_a_streamed_chat_has_role_text_finish_and_end(http: aiohttp.ClientSession) -> None:
    events = await stream(http, CHAT, chat(ignore_eos=True))
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(event["object"] == "chat.completion.chunk" for event in events)
    assert [event["choices"][0]["finish_reason"] for event in events][-1] == "length"
    assert events[-1]["system_fingerprint"].startswith("vllm-")
    assert not any("usage" in event for event in events)


async def test_a_stream_gives_its_usage_if_asked(http: aiohttp.ClientSession) -> None:
    events = await stream(http, CHAT, chat(ignore_eos=True, stream_options={"include_usage": True}))
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 6
    continuous = {"include_usage": True, "continuous_usage_stats": True}
    events = await stream(http, CHAT, chat(ignore_eos=True, stream_options=continuous))
    counted = [event["usage"]["completion_tokens"] for event in events]
    assert counted == sorted(counted)
    assert (counted[0], counted[-1]) == (0, 6)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_a_seeded_stream_is_the_same_text_as_the_whole_answer(http: aiohttp.ClientSession, path: str) -> None:
    make = chat if path == CHAT else completion
    _, body = await post(http, path, make(seed=5, max_tokens=50, n=2))
    events = await stream(http, path, make(seed=5, max_tokens=50, n=2))
    for index in (0, 1):
        parts = [
            choice["delta"].get("content", "") if path == CHAT else choice["text"]
            for event in events
            for choice in event["choices"]
            if choice["index"] == index
        ]
        choice = body["choices"][index]
        assert "".join(parts) == (choice["message"]["content"] if path == CHAT else choice["text"])


async def test_greedy_sampling_answers_a_prompt_always_alike(http: aiohttp.ClientSession) -> None:
    answers = [(await post(http, CHAT, chat(temperature=0, max_tokens=300)))[1] for _ in range(3)]
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1
    _, other = await post(http, COMPLETIONS, completion(temperature=0, prompt="else", max_tokens=300))
    assert other["choices"][0]["text"] != answers[0]["choices"][0]["message"]["content"]


async def test_several_prompts_and_choices_are_numbered_through(http: aiohttp.ClientSession) -> None:
    _, body = await post(http, COMPLETIONS, completion(prompt=["a", "b c"], n=2, ignore_eos=True))
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert body["usage"]["completion_tokens"] == 24
    _, body = await post(http, COMPLETIONS, completion(prompt=[[1, 2], [3]]))
    assert body["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize(
    "wanted",
    [{"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}},
     {"structured_outputs": {"json": SCHEMA}}, {"structured_outputs": {"json": json.dumps(SCHEMA)}}],
    ids=["response_format", "structured_outputs", "as text"],
)  # fmt: skip
async def test_structured_output_is_valid_for_its_schema(http: aiohttp.ClientSession, wanted: dict[str, Any]) -> None:
    valid = jsonschema_rs.validator_for(SCHEMA)
    for seed in range(20):
        _, body = await post(http, CHAT, chat(max_tokens=40, seed=seed, **wanted))
        choice = body["choices"][0]
        assert choice["finish_reason"] == "stop"
        valid.validate(json.loads(choice["message"]["content"]))
    _, body = await post(http, CHAT, chat(max_tokens=3, **wanted))
    assert body["choices"][0]["finish_reason"] == "length"


async def test_other_constraints_hold_too(http: aiohttp.ClientSession) -> None:
    _, body = await post(http, CHAT, chat(structured_outputs={"choice": ["yes", "no"]}))
    assert body["choices"][0]["message"]["content"] in ("yes", "no")
    _, body = await post(http, COMPLETIONS, completion(structured_outputs={"regex": "[ab]{3}"}))
    assert set(body["choices"][0]["text"]) <= {"a", "b"}
    _, body = await post(http, CHAT, chat(response_format={"type": "json_object"}, max_tokens=50))
    assert isinstance(json.loads(body["choices"][0]["message"]["content"]), dict)


async def test_a_stop_string_ends_the_answer(http: aiohttp.ClientSession) -> None:
    _, body = await post(http, CHAT, chat(stop=["e"], max_tokens=200, ignore_eos=True))
    choice = body["choices"][0]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "e")
    assert "e" not in choice["message"]["content"]


@pytest.mark.parametrize(
    ("path", "body", "status", "type_", "param"),
    [
        (CHAT, chat(model="none"), 404, "NotFoundError", "model"),
        (CHAT, chat(messages=[]), 400, "BadRequestError", None),
        (CHAT, {"model": "sim"}, 400, "Bad Request", "body.messages"),
        (CHAT, chat(messages="x"), 400, "Bad Request", "body.messages"),
        (CHAT, chat(max_tokens=5000), 400, "BadRequestError", "max_tokens"),
        (CHAT, chat(max_tokens=0), 400, "BadRequestError", "max_tokens"),
        (CHAT, chat(max_tokens="x"), 400, "Bad Request", "body.max_tokens"),
        (CHAT, chat(temperature=-1), 400, "BadRequestError", "temperature"),
        (CHAT, chat(messages=[{"role": "user", "content": "word " * 1200}]), 400, "BadRequestError", "input_tokens"),
        (CHAT, chat(messages=[{"role": "user", "content": "word " * 9000}]), 400, "BadRequestError", "input_text"),
        (CHAT, chat(response_format={"type": "json_schema"}), 400, "BadRequestError", "response_format"),
        (CHAT, chat(structured_outputs={"json": {"type": "bogus"}}), 400, "BadRequestError", None),
        (CHAT, chat(n=1000), 400, "BadRequestError", "n"),
        (CHAT, chat(logprobs=True), 400, "BadRequestError", "logprobs"),
        (COMPLETIONS, completion(prompt=""), 400, "BadRequestError", "prompt"),
        (COMPLETIONS, completion(prompt=[10**9]), 400, "BadRequestError", None),
        (COMPLETIONS, completion(echo=True), 400, "BadRequestError", "echo"),
        ("/tokenize", {}, 400, "Bad Request", "body.prompt"),
        ("/detokenize", {"tokens": "x"}, 400, "Bad Request", "body.tokens"),
    ],
)
async def test_bad_requests_are_answered_as_vllm_does(
    http: aiohttp.ClientSession, path: str, body: dict[str, Any], status: int, type_: str, param: str | None
) -> None:
    got, answer = await post(http, path, body)
    assert got == status
    error = answer["error"]
    assert (error["type"], error["param"], error["code"]) == (type_, param, status)
    assert "hello there" not in error["message"]


@pytest.mark.parametrize("body", [b"{bad", b"", b"[]", b"null", b'{"messages":[{"role":"user","content":"\xff"}]}'])
async def test_a_body_that_is_no_request_is_a_400(http: aiohttp.ClientSession, body: bytes) -> None:
    async with http.post(CHAT, data=body, headers={"content-type": "application/json"}) as answer:
        assert answer.status == 400
        await answer.json()


async def test_other_paths_methods_and_types_are_refused(http: aiohttp.ClientSession) -> None:
    async with http.get("/nowhere") as answer:
        assert (answer.status, await answer.json()) == (404, {"detail": "Not Found"})
    async with http.get(CHAT) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    async with http.post(CHAT, data=b"{}", headers={"content-type": "text/plain"}) as answer:
        assert answer.status == 400
    async with http.post(CHAT, data=b" " * (17 << 20), headers={"content-type": "application/json"}) as answer:
        assert answer.status == 413


async def test_a_client_that_leaves_frees_its_place(http: aiohttp.ClientSession, engine: Any) -> None:
    long = chat(max_tokens=900, ignore_eos=True)
    answer = await http.post(CHAT, json={**long, "stream": True})
    await answer.content.readany()
    whole = asyncio.create_task(post(http, CHAT, long))
    await asyncio.to_thread(
        engine.wait_until, "both running", lambda: engine.metric("vllm:num_requests_running") == 2
    )
    answer.close()
    whole.cancel()
    await asyncio.to_thread(
        engine.wait_until, "none running", lambda: engine.metric("vllm:num_requests_running") == 0
    )
    assert engine.metric("vllm:kv_cache_usage_perc") == 0


async def test_what_was_done_is_counted(http: aiohttp.ClientSession, engine: Any) -> None:
    def counts() -> list[float]:
        return [
            engine.metric("vllm:request_success_total", finished_reason="length"),
            engine.metric("vllm:generation_tokens_total"), engine.metric("vllm:prompt_tokens_total"),
            engine.metric("vllm:e2e_request_latency_seconds_count"),
            engine.metric("vllm:inter_token_latency_seconds_count"),
            engine.metric("vllm:time_to_first_token_seconds_count"), engine.metric("vllm:request_params_n_sum"),
            engine.metric("vllm:prefix_cache_queries_total"), engine.metric("vllm:prefix_cache_hits_total"),
        ]  # fmt: skip

    before = await asyncio.to_thread(counts)
    prompt = list(range(100, 148))  # three blocks, two of them reused by each but the first
    for _ in range(3):
        await post(http, COMPLETIONS, completion(prompt=prompt, ignore_eos=True))
    after = await asyncio.to_thread(counts)
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 18, 144, 3, 15, 3, 3, 144, 64]


async def test_every_metric_parses_and_histograms_add_up(http: aiohttp.ClientSession, engine: Any) -> None:
    await post(http, CHAT, chat())
    families = list(text_string_to_metric_families(engine.get("/metrics").decode()))
    histograms = [family for family in families if family.type == "histogram"]
    assert len(histograms) == 16
    for family in histograms:
        buckets = [sample.value for sample in family.samples if sample.name.endswith("_bucket")]
        count = next(sample.value for sample in family.samples if sample.name.endswith("_count"))
        assert buckets == sorted(buckets)
        assert buckets[-1] == count


async def test_a_full_queue_answers_503(start_engine: Any) -> None:
    engine = start_engine({"max_num_queued_reqs": 2, "step_base_ms": 50})
    async with aiohttp.ClientSession(engine.url) as http:
        async with http.post(CHAT, json=chat(n=2, max_tokens=4000, ignore_eos=True, stream=True)):
            status, body = await post(http, CHAT, chat())
        assert (status, body["error"]["type"]) == (503, "Service Unavailable")
    rejected = await asyncio.to_thread(engine.metric, "vllm:admission_rejections_total", reason="max_num_queued_reqs")
    assert rejected == 1


async def test_a_small_cache_preempts_and_still_answers_all(start_engine: Any) -> None:
    engine = start_engine({"kv_blocks": 32, "max_model_len": 512, "step_base_ms": 0.2, "tick_ms": 0})
    async with aiohttp.ClientSession(engine.url) as http:
        answers = await asyncio.gather(
            *(post(http, CHAT, chat(max_tokens=100, ignore_eos=True)) for _ in range(12))
        )
    assert all(body["usage"]["completion_tokens"] == 100 for _, body in answers)
    assert await asyncio.to_thread(engine.metric, "vllm:num_preemptions_total") > 0
    assert await asyncio.to_thread(engine.metric, "vllm:kv_cache_usage_perc") == 0


async def test_the_openai_client_works_unchanged(engine: Any) -> None:
    async with openai.AsyncOpenAI(base_url=engine.url + "/v1", api_key="none", max_retries=0) as client:
        models = await client.models.list()
        assert models.data[0].id == "sim"
        messages: Any = [{"role": "user", "content": "hello"}]
        whole = await client.chat.completions.create(model="sim", messages=messages, max_tokens=8, seed=4)
        parts = await client.chat.completions.create(
            model="sim", messages=messages, max_tokens=8, seed=4, stream=True, stream_options={"include_usage": True}
        )
        text = ""
        async for chunk in parts:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
        assert text == whole.choices[0].message.content
        legacy = await client.completions.create(model="sim", prompt="hello", max_tokens=8)
        assert legacy.usage is not None
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="none", messages=messages)
