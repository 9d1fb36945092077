"""What passes the door of OpenAI's endpoints, and with which body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.errors import Problem
from serving.gateway.openai_request import parse

CHAT, COMPLETION = 0, 1
MESSAGES = [{"role": "user", "content": "hello"}]


def parsed(tools: Any, body: Any, task: int = CHAT) -> Any:
    config = tools.config()
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse(config.tasks[task], raw, config)


def refused(tools: Any, body: Any, task: int = CHAT) -> Problem:
    with pytest.raises(Problem) as caught:
        parsed(tools, body, task)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"messages": 3}', b"[" * 100_000, b'{"model": 4, "messages": []}'],
)
def test_what_is_no_request_is_refused_without_quoting_it(tools: Any, body: bytes) -> None:
    problem = refused(tools, body)
    assert (problem.status, problem.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("body", "task", "code", "limit"),
    [
        ({"messages": MESSAGES, "max_tokens": 513}, CHAT, "output_tokens_exceeded", "output_tokens_max"),
        ({"messages": MESSAGES, "max_completion_tokens": 513}, CHAT, "output_tokens_exceeded", "output_tokens_max"),
        ({"messages": MESSAGES, "max_tokens": 300, "n": 2}, CHAT, "output_tokens_exceeded", "output_tokens_max"),
        ({"messages": MESSAGES, "n": 1000}, CHAT, "output_tokens_exceeded", "output_tokens_max"),
        ({"prompt": ["a"] * 193}, COMPLETION, "output_tokens_exceeded", "output_tokens_max"),
        ({"messages": [{"role": "user", "content": "x" * 20_001}]}, CHAT, "prompt_too_long", "prompt_chars_max"),
        ({"prompt": [1] * 5_001}, COMPLETION, "prompt_too_long", "prompt_chars_max"),
        ({"messages": MESSAGES, "max_tokens": 0}, CHAT, "invalid_value", None),
        ({"messages": MESSAGES, "n": 0}, CHAT, "invalid_value", None),
        ({"messages": []}, CHAT, "invalid_value", None),
        ({"prompt": None}, COMPLETION, "invalid_value", None),
        ({"prompt": [1, "a"]}, COMPLETION, "invalid_value", None),
    ],
)
def test_what_is_over_a_limit_is_refused_and_the_limit_named(
    tools: Any, body: Any, task: int, code: str, limit: str | None
) -> None:
    problem = refused(tools, body, task)
    assert (problem.status, problem.code, problem.limit) == (400, code, limit)


def test_a_tier_is_asked_for_by_its_model_or_its_name_or_not_at_all(tools: Any) -> None:
    for model, tier in [("gratefulgpt-1.3b", "edge"), ("edge", "edge"), (None, "production")]:
        asked = parsed(tools, {"model": model, "messages": MESSAGES})
        assert asked.tier == tier
        assert json.loads(asked.body)["model"] == {"edge": "gratefulgpt-1.3b", "production": tools.model}[tier]
    assert refused(tools, {"model": "gpt-4", "messages": MESSAGES}).status == 404


def test_a_complete_request_keeps_its_bytes(tools: Any) -> None:
    raw = b'{ "model":"gratefulgpt-7b", "messages":[{"role":"user","content":"hi"}],"max_tokens":3, "x":1.50 }\n'
    assert parsed(tools, raw).body is raw


def test_the_prompt_is_measured_by_its_text(tools: Any) -> None:
    parts = [{"type": "text", "text": "abc"}, {"type": "image_url", "image_url": {"url": "u"}}]
    chat = parsed(tools, {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]})
    assert chat.prompt_chars == 3
    assert parsed(tools, {"prompt": ["ab", "c"], "max_tokens": 5}, COMPLETION).output_tokens == 10
    assert parsed(tools, {"prompt": [[1, 2], [3]]}, COMPLETION).prompt_chars == 12


FIELDS = st.fixed_dictionaries(
    {"messages": st.just(MESSAGES)},
    optional={
        "model": st.sampled_from([None, "production", "gratefulgpt-7b"]),
        "max_tokens": st.one_of(st.none(), st.integers(1, 512)),
        "max_completion_tokens": st.one_of(st.none(), st.integers(1, 512)),
        "stream": st.one_of(st.none(), st.booleans()),
        "stream_options": st.one_of(st.none(), st.fixed_dictionaries({}, optional={"include_usage": st.booleans()})),
        "user": st.text(),
        "stop": st.just(['"max_tokens"', "}"]),
    },
)


@given(body=FIELDS)
def test_the_engine_is_told_the_clients_words_and_what_was_missing(tools: Any, body: dict[str, Any]) -> None:
    asked = parsed(tools, body)
    told = json.loads(asked.body)
    assert told["model"] == tools.model
    caps = [value for key in ("max_tokens", "max_completion_tokens") if (value := told.get(key)) is not None]
    assert caps
    assert asked.output_tokens == min(caps)
    if body.get("stream"):
        assert told["stream_options"]["include_usage"] is True
    changed = {"model", "max_tokens", "stream_options"}
    assert {k: v for k, v in told.items() if k not in changed} == {k: v for k, v in body.items() if k not in changed}
    assert told.get("max_tokens", 0) in (body.get("max_tokens") or 512, 0, None)
