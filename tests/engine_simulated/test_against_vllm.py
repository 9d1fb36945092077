"""The simulated engine beside a real vLLM: the same requests, and answers that must not be told apart by their shape.

Compared are status codes, content types, the keys and types of bodies, the framing of streams, and every ``vllm:``
metric with its type, labels and bounds. What the simulated engine refuses on purpose (log-probabilities of answers,
echo) is not asked for here; values that follow from the model's text are not compared.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.vllm

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
SCHEMA = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"], "additionalProperties": False}
LONG = [{"role": "user", "content": "word " * 200_000}]
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}]}]
Exchange = tuple[int, str, bytes]


def chat(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 5, "ignore_eos": True, **fields}


def completion(**fields: Any) -> dict[str, Any]:
    return {"prompt": "hello there", "max_tokens": 5, "ignore_eos": True, **fields}


GETS = ["/health", "/version", "/ping", "/load", "/v1/models", "/v1/models/x", "/nowhere", CHAT, "/detokenize"]
ANSWERED = [
    (CHAT, chat()), (CHAT, chat(n=2)), (CHAT, chat(max_completion_tokens=2)), (CHAT, chat(max_tokens="3")),
    (CHAT, chat(unknown=1, user="u")),
    (CHAT, chat(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}]}])),
    (CHAT, chat(messages=[{"role": "odd", "content": "x"}])), (CHAT, chat(messages=[{"role": "user"}])),
    (CHAT, chat(structured_outputs={"choice": ["yes", "no"]}, max_tokens=20, ignore_eos=False)),
    (CHAT, chat(structured_outputs={"regex": "[ab]{3}"}, max_tokens=20, ignore_eos=False)),
    (CHAT, chat(response_format={"type": "text"})), (CHAT, chat(response_format={"type": "json_object"})),
    (CHAT, chat(response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}})),
    (CHAT, chat(temperature=0, seed=1, top_p=0.5, top_k=3, presence_penalty=1, stop=["@@@"])),
    (COMPLETIONS, completion()), (COMPLETIONS, completion(n=2)), (COMPLETIONS, completion(prompt=["a", "b"])),
    (COMPLETIONS, completion(prompt=[1, 2, 3])), (COMPLETIONS, completion(prompt=[[1, 2], [3]])),
    (COMPLETIONS, completion(prompt_logprobs=0)), (COMPLETIONS, completion(prompt_logprobs=0, temperature=0)),
    (COMPLETIONS, completion(prompt_logprobs=0, n=2)),
    (COMPLETIONS, completion(prompt_logprobs=0, prompt=["a b", "c"])),
    (COMPLETIONS, {"prompt": "x", "ignore_eos": True}), (COMPLETIONS, completion(max_tokens=None)),
    ("/tokenize", {"prompt": "hello"}), ("/tokenize", {"prompt": "hello", "return_token_strs": True}),
    ("/tokenize", {"messages": [{"role": "user", "content": "hi"}]}), ("/detokenize", {"tokens": [40, 41]}),
]  # fmt: skip
STREAMED = [
    (CHAT, chat()), (CHAT, chat(n=2)), (CHAT, chat(stream_options={"include_usage": True})),
    (CHAT, chat(stream_options={"include_usage": True, "continuous_usage_stats": True})),
    (CHAT, chat(stream_options={"include_usage": False, "continuous_usage_stats": True})),
    (CHAT, chat(structured_outputs={"choice": ["yes", "no"]}, max_tokens=20, ignore_eos=False)),
    (COMPLETIONS, completion()), (COMPLETIONS, completion(n=2)), (COMPLETIONS, completion(prompt=["a", "b"])),
    (COMPLETIONS, completion(stream_options={"include_usage": True})),
    (COMPLETIONS, completion(stream_options={"include_usage": True, "continuous_usage_stats": True})),
]  # fmt: skip
REFUSED = [
    (CHAT, chat(model="none")), (CHAT, chat(messages=[])), (CHAT, {}), (CHAT, chat(messages="x")),
    (CHAT, chat(messages=[{"role": "user", "content": None}])), (CHAT, chat(messages=[{"content": "x"}])),
    (CHAT, chat(messages=[{"role": "user", "content": 5}])), (CHAT, chat(messages=LONG)),
    (CHAT, chat(messages=LONG, stream=True)), (CHAT, chat(max_tokens=0)), (CHAT, chat(max_tokens=-1)),
    (CHAT, chat(max_tokens=500_000)), (CHAT, chat(max_tokens="x")), (CHAT, chat(max_tokens=1.5)),
    (CHAT, chat(temperature=-1)), (CHAT, chat(temperature=3)), (CHAT, chat(temperature="hot")), (CHAT, chat(top_p=0)),
    (CHAT, chat(top_p=2)), (CHAT, chat(top_k=-5)), (CHAT, chat(n=0)), (CHAT, chat(stream="maybe")),
    (CHAT, chat(stream_options={"include_usage": True})), (CHAT, chat(stop=5)), (CHAT, chat(seed="x")),
    (CHAT, chat(presence_penalty=3)), (CHAT, chat(frequency_penalty=3)), (CHAT, chat(repetition_penalty=0)),
    (CHAT, chat(n=2, temperature=0)), (CHAT, chat(messages=IMAGE)),
    (CHAT, chat(min_tokens=9)), (CHAT, chat(top_logprobs=2)), (CHAT, chat(tools=[])),
    (CHAT, chat(tool_choice="auto")), (CHAT, chat(response_format={"type": "json_schema"})),
    (CHAT, chat(response_format={"type": "bogus"})),
    (CHAT, chat(response_format={"type": "json_schema", "json_schema": {"name": "s"}})),
    (CHAT, chat(structured_outputs={"json": {"type": "bogus"}})),
    (CHAT, chat(structured_outputs={"choice": ["a"], "regex": "a"})),
    (COMPLETIONS, completion(model="none")), (COMPLETIONS, completion(prompt="")), (COMPLETIONS, completion(prompt=[])),
    (COMPLETIONS, completion(prompt=5)), (COMPLETIONS, completion(prompt=None)), (COMPLETIONS, {}),
    (COMPLETIONS, completion(max_tokens=0)), (COMPLETIONS, completion(max_tokens=500_000)),
    (COMPLETIONS, completion(prompt="word " * 200_000)), (COMPLETIONS, completion(prompt=[10_000_000])),
    (COMPLETIONS, completion(prompt_logprobs=-2)), (COMPLETIONS, completion(prompt_logprobs=1, stream=True)),
    (COMPLETIONS, completion(prompt_logprobs="x")),
    (COMPLETIONS, completion(suffix="x")), ("/tokenize", {}), ("/tokenize", {"prompt": 5}),
    ("/tokenize", {"model": "none", "prompt": "x"}), ("/detokenize", {}), ("/detokenize", {"tokens": "x"}),
    ("/detokenize", {"model": "none", "tokens": [1]}),
]  # fmt: skip
RAW = [
    (b"{bad", "application/json"), (b"", "application/json"), (b"[]", "application/json"),
    (b"null", "application/json"), (b'{"messages":"\xff"}', "application/json"), (b"{}", "text/plain"),
]  # fmt: skip


def label(case: Any) -> str:
    return json.dumps(case)[:70] if isinstance(case, dict) else str(case)[:30]


def exchange(url: str, path: str, data: bytes | None = None, content_type: str = "application/json") -> Exchange:
    request = urllib.request.Request(url + path, data, {"content-type": content_type} if data is not None else {})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.headers.get("content-type", ""), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("content-type", ""), error.read()


def shape(value: Any) -> Any:
    """Keys in their order, and the types of the values."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [shape(inner) for inner in value] if value and isinstance(value[0], dict) else [type(value).__name__]
    return type(value).__name__


def body_shape(body: bytes) -> Any:
    return shape(json.loads(body)) if body else None


@pytest.fixture
def both(vllm_server: Any, engine: Any) -> tuple[str, str]:
    return vllm_server.url, engine.url


@pytest.mark.parametrize("path", GETS)
def test_plain_gets_are_alike(both: tuple[str, str], path: str) -> None:
    real, simulated = (exchange(url, path) for url in both)
    assert simulated[:2] == real[:2]
    assert body_shape(simulated[2]) == body_shape(real[2])


@pytest.mark.parametrize(("path", "body"), ANSWERED, ids=label)
def test_answers_are_alike(both: tuple[str, str], path: str, body: dict[str, Any]) -> None:
    real, simulated = (exchange(url, path, json.dumps(body).encode()) for url in both)
    assert real[0] == 200, real[2]
    assert simulated[:2] == real[:2]
    assert body_shape(simulated[2]) == body_shape(real[2])


@pytest.mark.parametrize(("path", "body"), REFUSED, ids=label)
def test_refusals_are_alike(both: tuple[str, str], path: str, body: dict[str, Any]) -> None:
    real, simulated = (exchange(url, path, json.dumps(body).encode()) for url in both)
    assert real[0] >= 400
    assert simulated[:2] == real[:2]
    mine, theirs = json.loads(simulated[2])["error"], json.loads(real[2])["error"]
    assert shape(mine) == shape(theirs)
    assert (mine["type"], mine["code"]) == (theirs["type"], theirs["code"])
    # Within a message, vLLM names the alternatives of its own types, which no client can rely on.
    if not (theirs["param"] or "").startswith("body.messages.0."):
        assert mine["param"] == theirs["param"]


@pytest.mark.parametrize(("body", "content_type"), RAW)
def test_bodies_that_are_no_request_are_alike(both: tuple[str, str], body: bytes, content_type: str) -> None:
    real, simulated = (exchange(url, CHAT, body, content_type) for url in both)
    assert simulated[:2] == real[:2]
    assert body_shape(simulated[2]) == body_shape(real[2])


def events(body: bytes) -> list[Any]:
    text = body.decode()
    assert text.endswith("\n\n")
    parts = text.split("\n\n")[:-1]
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    assert parts[-1] == "data: [DONE]"
    return [json.loads(part.removeprefix("data: ")) for part in parts[:-1]]


def framing(body: bytes) -> dict[str, Any]:
    """Of each kind of event its shape, and the order of the kinds for each choice (equal neighbours as one: how many
    tokens share an event depends on timing alone)."""
    shapes: dict[str, Any] = {}
    order: dict[Any, list[str]] = {}
    for event in events(body):
        choice = event["choices"][0] if event["choices"] else None
        if choice is None:
            kind = "usage"
        elif choice["finish_reason"]:
            kind = "finish"
        else:
            kind = "role" if "role" in choice.get("delta", {}) else "delta"
        assert shapes.setdefault(kind, shape(event)) == shape(event), f"two shapes of {kind}"
        kinds = order.setdefault(choice and choice["index"], [])
        if not kinds or kinds[-1] != kind:
            kinds.append(kind)
    return {"shapes": shapes, "order": order}


@pytest.mark.parametrize(("path", "body"), STREAMED, ids=label)
def test_streams_are_framed_alike(both: tuple[str, str], path: str, body: dict[str, Any]) -> None:
    real, simulated = (exchange(url, path, json.dumps({**body, "stream": True}).encode()) for url in both)
    assert simulated[:2] == real[:2] == (200, "text/event-stream; charset=utf-8")
    mine, theirs = framing(simulated[2]), framing(real[2])
    for kind in mine["shapes"].keys() & theirs["shapes"].keys():
        assert mine["shapes"][kind] == theirs["shapes"][kind]
    for choice in theirs["order"]:
        # A short answer may come in its finishing event alone.
        orders = [[kind for kind in found["order"][choice] if kind != "delta"] for found in (mine, theirs)]
        assert orders[0] == orders[1]


def metrics(url: str) -> dict[str, tuple[str, frozenset[Any]]]:
    """Of each ``vllm:`` metric its type, and its samples' names and labels; of labels with few values these too."""
    page = exchange(url, "/metrics")[2].decode()
    kept = ("reason", "source", "finished_reason", "sleep_state", "engine")
    found = {}
    for family in text_string_to_metric_families(page):
        if family.name.startswith("vllm:"):
            samples = frozenset(
                (sample.name, frozenset((name, value if name in kept else "") for name, value in sample.labels.items()))
                for sample in family.samples
            )
            found[family.name] = (family.type, samples)
    return found


def bounds(url: str) -> dict[str, list[str]]:
    page = exchange(url, "/metrics")[2].decode()
    return {
        family.name: [sample.labels["le"] for sample in family.samples if sample.name.endswith("_bucket")]
        for family in text_string_to_metric_families(page)
        if family.type == "histogram" and family.name.startswith("vllm:")
    }


def test_every_vllm_metric_has_its_type_and_labels(both: tuple[str, str]) -> None:
    for url in both:
        exchange(url, CHAT, json.dumps(chat()).encode())
    real, simulated = (metrics(url) for url in both)
    assert len(real) > 60
    assert simulated == real
    assert exchange(both[0], "/metrics")[1] == exchange(both[1], "/metrics")[1]


def test_every_histogram_has_vllms_bounds(both: tuple[str, str], start_engine: Any) -> None:
    models = json.loads(exchange(both[0], "/v1/models")[2])
    context = models["data"][0]["max_model_len"]
    engine = start_engine({}, "--max-model-len", str(context))
    real = bounds(both[0])
    assert len(real) == 16
    assert bounds(engine.url) == real
