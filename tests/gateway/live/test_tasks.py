"""The service's own API: templates, schemas, checked answers, streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.server

GOOD = {"answer": "May 5, 1965, Menlo Park", "confidence": "high"}
QUESTION = {"question": "When was the first show?"}


async def test_a_structured_answer_is_asked_for_checked_and_enveloped(gateway: Any, engine: Any, tools: Any) -> None:
    engine.answer = json.dumps(GOOD)
    status, headers, body = await gateway.post("/api/v1/history/query", QUESTION)
    assert status == 200
    assert body["output"] == GOOD
    assert (body["task"], body["model"], body["release"]) == ("history-query", tools.model, "r1")
    assert body["usage"]["completion_tokens"] == 5
    assert body["id"] == headers["x-request-id"]
    (asked,) = engine.requests
    assert asked["max_tokens"] == 64
    assert asked["response_format"]["json_schema"]["schema"]["required"] == ["answer", "confidence"]
    assert asked["messages"][-1] == {"role": "user", "content": "When was the first show?"}
    assert await gateway.bad() == {}


@pytest.mark.parametrize(
    ("answer", "finish_reason", "code", "event"),
    [
        ("secret prose", "stop", "answer_invalid", "invalid"),
        ('{"answer": "secret"}', "stop", "answer_invalid", "invalid"),
        ('{"answer": "secret", "confidence": "very"}', "stop", "answer_invalid", "invalid"),
        ('{"answer": "secr', "length", "answer_truncated", "truncated"),
        ("", "stop", "answer_empty", "empty"),
        ("[" * 100_000, "stop", "answer_invalid", "invalid"),
    ],
)
async def test_an_answer_that_is_not_what_was_promised_is_a_502(
    gateway: Any, engine: Any, answer: str, finish_reason: str, code: str, event: str
) -> None:
    engine.answer, engine.finish_reason = answer, finish_reason
    status, headers, body = await gateway.post("/api/v1/history/query", QUESTION)
    assert (status, body["error"]["code"], headers["x-release"]) == (502, code, "r1")
    assert "secret" not in json.dumps(body)
    assert await gateway.bad() == {event: 1}


async def test_no_error_of_the_engine_is_the_clients_where_the_gateway_wrote_the_request(
    gateway: Any, engine: Any
) -> None:
    engine.behaviour = "400"
    status, _, body = await gateway.post("/api/v1/history/query", QUESTION)
    assert (status, body["error"]["code"]) == (502, "engine_error")
    assert await gateway.bad() == {"refused": 1}


async def test_a_text_answer_comes_whole_or_as_it_is_written(gateway: Any, engine: Any) -> None:
    status, _, body = await gateway.post("/api/v1/generate", {"prompt": "Rain", "max_tokens": 9, "temperature": 0})
    assert (status, body["output"]) == (200, {"text": "Hello from the engine", "finish_reason": "stop"})
    assert (engine.requests[0]["max_tokens"], engine.requests[0]["temperature"]) == (9, 0)
    messages = [{"role": "user", "content": "Hi"}]
    status, headers, raw = await gateway.post("/api/v1/chat", {"messages": messages, "stream": True})
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    *events, last, done, rest = raw.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert "".join(json.loads(event[6:])["text"] for event in events) == "Hello from the engine"
    final = json.loads(last[6:])
    assert (final["text"], final["finish_reason"], final["usage"]["completion_tokens"]) == ("", "stop", 5)
    assert await gateway.bad() == {}


async def test_a_text_stream_that_is_cut_does_not_end_as_if_it_were_whole(gateway: Any, engine: Any) -> None:
    engine.behaviour = "die_in_stream"
    _, _, raw = await gateway.post("/api/v1/generate", {"prompt": "Rain", "stream": True})
    assert b"[DONE]" not in raw
    assert b'"code":"stream_cut"' in raw
    assert await gateway.bad() == {"cut": 1}


async def test_a_request_that_does_not_match_is_told_every_place_and_none_of_its_words(
    gateway: Any, engine: Any
) -> None:
    wrong = {"prompt": 7, "style": "secret" * 100, "max_tokens": "secret", "secret": 1}
    status, _, body = await gateway.post("/api/v1/generate", wrong)
    assert status == 422
    assert {fault["path"] for fault in body["error"]["faults"]} == {"$", "$.prompt", "$.style", "$.max_tokens"}
    assert "secret" not in json.dumps(body)
    assert engine.requests == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"prompt": "x", "max_tokens": 513}, 400, "output_tokens_exceeded"),
        ({"prompt": "x", "model": "gpt-4"}, 404, "model_not_found"),
        ({"prompt": "x", "model": "edge"}, 503, "no_release"),
        ([], 400, "invalid_json"),
    ],
)
async def test_limits_and_models_hold_for_own_tasks_too(gateway: Any, body: Any, status: int, code: str) -> None:
    found, _, answer = await gateway.post("/api/v1/generate", body)
    assert (found, answer["error"]["code"]) == (status, code)
