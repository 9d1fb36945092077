"""Requests of the mix: whole, of the service's own schemas, the same for the same seed."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ops.adapters.spec_file import load_spec
from ops.loadtest.traffic import Destination, NoSchema, Wish, drawn, messages
from ops.spec.model import Spec
from serving.contract import TaskKind

ROOT = Path(__file__).parents[2]
TO = Destination("127.0.0.1", 8000, key="s3cret")


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec(ROOT / "gratefulgpt.yaml")


@pytest.fixture(scope="module")
def schemas(spec: Spec) -> dict[str, dict[str, Any]]:
    """By path, as the gateway's own page has them."""
    openai = {"type": "object", "properties": {"max_tokens": {}, "stream": {}}}
    folder = ROOT / "serving" / "tasks" / "v1"
    return {
        task.path: openai
        if task.kind in (TaskKind.OPENAI_CHAT, TaskKind.OPENAI_COMPLETION)
        else json.loads((folder / f"{name}.schema.json").read_text())["request"]
        for name, task in spec.api.tasks.items()
    }


def read(message: bytes) -> tuple[list[str], dict[str, str], dict[str, Any]]:
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert int(headers["content-length"]) == len(body)
    return first.split(" "), headers, json.loads(body)


def test_the_mix_has_the_shares_streams_and_sessions_of_the_spec(spec: Spec) -> None:
    count = 20_000
    wishes = list(drawn(spec.load, spec.load.suites["smoke"], count, Random(1)))
    tasks = Counter(wish.task for wish in wishes)
    for task, percent in spec.load.mix_percent.items():
        assert tasks[task] / count == pytest.approx(percent / 100, abs=0.015)
    assert sum(wish.stream for wish in wishes) / count == pytest.approx(spec.load.stream_percent / 100, abs=0.015)
    sessions = Counter(wish.session for wish in wishes if wish.session)
    assert sessions.total() / count == pytest.approx(spec.load.sessions.percent / 100, abs=0.015)
    assert sessions.total() / len(sessions) == pytest.approx(spec.load.sessions.requests, rel=0.05)
    lengths = sorted(wish.prompt_chars for wish in wishes)
    assert lengths[count // 2] == pytest.approx(spec.load.prompt_chars.median, rel=0.05)


def test_the_same_seed_draws_the_same_requests_and_another_one_others(spec: Spec, schemas: Any) -> None:
    def made(seed: int) -> object:
        chance = Random(seed)
        return messages(spec, drawn(spec.load, spec.load.suites["volume"], 50, chance), schemas, TO, chance)

    assert made(7) == made(7)
    assert made(7) != made(8)


def test_every_task_of_the_api_can_be_asked_for(spec: Spec, schemas: Any) -> None:
    for name, task in spec.api.tasks.items():
        wish = Wish(name, prompt_chars=100_000, output_tokens=100_000, stream=True)
        (kind,), ((number, message),) = messages(spec, [wish], schemas, TO, Random(1))
        (method, path, version), headers, body = read(message)
        assert (number, method, path, version) == (0, "POST", task.path, "HTTP/1.1")
        assert headers["authorization"] == "Bearer s3cret"
        assert kind.task_class == task.task_class
        cap = task.output_tokens_max or spec.task_classes[task.task_class].output_tokens_max
        assert body.get("max_tokens", cap) == cap
        assert kind.stream == bool(body.get("stream")) == (task.kind is not TaskKind.STRUCTURED)
        if task.kind in (TaskKind.OPENAI_CHAT, TaskKind.OPENAI_COMPLETION):
            assert body["stream_options"] == {"include_usage": True}
        assert len(json.dumps(body)) < spec.api.limits.prompt_chars_max


def test_prompts_of_a_session_begin_alike_and_carry_its_name(spec: Spec, schemas: Any) -> None:
    wishes = [Wish("openai-chat", 300, 10, False, session) for session in ("a", "a", "b", "")]
    _, requests = messages(spec, wishes, schemas, TO, Random(1))
    found = [read(message) for _, message in requests]
    assert [headers.get("x-session") for _, headers, _ in found] == ["a", "a", "b", None]
    prefix = spec.load.sessions.prefix_chars
    texts = [body["messages"][0]["content"] for _, _, body in found]
    assert texts[0][:prefix] == texts[1][:prefix] != texts[2][:prefix]
    assert texts[0] != texts[1]
    assert [len(text) for text in texts] == [prefix + 300] * 3 + [300]


def test_a_task_that_the_service_does_not_describe_is_told(spec: Spec, schemas: Any) -> None:
    known = dict(islice(schemas.items(), 2))
    with pytest.raises(NoSchema, match="does not describe /api/v1/history/query"):
        messages(spec, [Wish("history-query", 10, 10, False)], known, TO, Random(1))


def test_a_schema_that_no_request_can_be_made_from_is_told(spec: Spec, schemas: Any) -> None:
    odd = {"type": "object", "required": ["at"], "properties": {"at": {"type": "string", "pattern": "^[0-9]+$"}}}
    with pytest.raises(NoSchema, match="no request for /api/v1/history/query"):
        messages(spec, [Wish("history-query", 10, 10, False)], {**schemas, "/api/v1/history/query": odd}, TO, Random(1))
