"""The launcher with a real vLLM server and a tiny model with real weights: serving, draining, dying."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
import pytest

pytestmark = pytest.mark.vllm

PROJECT = Path(__file__).resolve().parents[2]
MODELS = PROJECT / "build" / "models"
READY_SECONDS_MAX = 300.0
END_SECONDS_MAX = 90.0
ASKED = 100
QUESTIONS = (
    "Which song opened the show?",
    "Tell me about the drummers.",
    "Write a short story about a summer night in the parking lot.",
    "Hello",
)
SCHEMA = json.loads((PROJECT / "serving/tasks/v1/setlist-predict.schema.json").read_text("utf-8"))["answer"]


@pytest.fixture(scope="session")
def client(vllm_server: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=vllm_server.url + "/v1", api_key="none", max_retries=0, timeout=120)


@dataclass(frozen=True)
class Launched:
    """A launcher of a test's own, whose server the test may break."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def healthy(self) -> bool:
        assert self.process.poll() is None, self.log.read_text("utf-8", "replace")[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture
def launched(tmp_path: Path, eventually: Callable[..., None]) -> Iterator[Launched]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    line = [sys.executable, "-m", "serving.engine", "--engine", "vllm", "--model", str(MODELS / "tiny-damaged")]
    line += ["--model-name", "tiny", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(line, cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT)
    server = Launched(process, port, tmp_path / "log")
    try:
        eventually("the server is ready (is it installed? `make vllm tiny-model`)", server.healthy, READY_SECONDS_MAX)
        yield server
    finally:
        process.kill()
        process.wait()


def chat(client: openai.OpenAI, model: str, question: str, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": question}]
    return client.chat.completions.create(model=model, messages=messages, **{"max_tokens": 48, **more})


def test_it_serves_under_the_name_it_was_given(client: openai.OpenAI, vllm_server: Any) -> None:
    assert [model.id for model in client.models.list()] == [vllm_server.model_name]


def test_a_good_model_hardly_ever_answers_nothing(client: openai.OpenAI, vllm_server: Any) -> None:
    answers = [chat(client, vllm_server.model_name, QUESTIONS[number % len(QUESTIONS)]) for number in range(ASKED)]
    empty = sum(not (answer.choices[0].message.content or "").strip() for answer in answers)
    assert empty <= ASKED // 50
    assert {answer.choices[0].finish_reason for answer in answers} == {"stop", "length"}


def test_a_stream_brings_content_then_its_reason_then_the_usage(client: openai.OpenAI, vllm_server: Any) -> None:
    stream = chat(
        client, vllm_server.model_name, QUESTIONS[0], stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert content.strip()
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("stop", "length")
    assert chunks[-1].usage.completion_tokens > 0


def test_a_structured_answer_keeps_to_its_schema(client: openai.OpenAI, vllm_server: Any) -> None:
    validator = jsonschema_rs.validator_for(SCHEMA)
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    for question in QUESTIONS:
        answer = chat(client, vllm_server.model_name, question, max_tokens=256, response_format=form)
        assert validator.is_valid(json.loads(answer.choices[0].message.content))


def test_a_damaged_model_answers_nothing_and_a_stop_lets_a_running_stream_finish(
    launched: Launched, family_of: Any, eventually: Any
) -> None:
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{launched.port}/v1", api_key="none", timeout=120)
    answers = [chat(client, "tiny", QUESTIONS[number % len(QUESTIONS)]) for number in range(ASKED)]
    empty = sum(not (answer.choices[0].message.content or "").strip() for answer in answers)
    assert empty > ASKED // 2

    family = family_of(launched.process.pid)
    assert len(family.members) >= 3
    connection, answer = _begin_stream(launched.port, tokens=1500)
    launched.process.send_signal(signal.SIGTERM)
    rest = answer.read()
    connection.close()
    assert rest.rstrip().endswith(b"data: [DONE]")
    assert launched.process.wait(END_SECONDS_MAX) == 0
    eventually("nothing is left", lambda: not family.living())


def test_no_process_outlives_a_launcher_that_was_killed(launched: Launched, family_of: Any, eventually: Any) -> None:
    family = family_of(launched.process.pid)
    os.kill(launched.process.pid, signal.SIGKILL)
    eventually("nothing is left", lambda: not family.living())


def _begin_stream(port: int, tokens: int) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """A stream of exactly so many tokens, read up to its first bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read(64)
    return connection, answer
