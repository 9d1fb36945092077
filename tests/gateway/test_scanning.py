"""What is found in an answer's bytes, however the network cuts them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.scanning import Scan, UsageStripper, usage_of_answer


def event(**more: object) -> bytes:
    return b"data: " + json.dumps({"id": "x", **more}, separators=(",", ":")).encode() + b"\n\n"


def delta(content: str) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": content}, "finish_reason": None}])


USAGE = event(choices=[], usage={"prompt_tokens": 3, "total_tokens": 5, "completion_tokens": 2})
DONE = b"data: [DONE]\n\n"


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(bounds) if a < b]


@given(st.lists(st.text(), max_size=5), st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
def test_a_stream_reads_the_same_however_it_is_cut(texts: list[str], places: list[int], whole: bool) -> None:
    parts = [delta(""), *map(delta, texts), USAGE]
    stream = b"".join(parts) + (DONE if whole else b"")
    scan, stripper, out = Scan(streamed=True), UsageStripper(), b""
    firsts = 0
    for chunk in cut(stream, places):
        firsts += scan.feed(chunk)
        out += stripper.feed(chunk)
    out += stripper.rest()
    assert scan.has_content == any(texts)
    assert firsts == int(any(texts))
    assert scan.done is whole
    assert not scan.errored
    usage = scan.usage()
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (3, 2)
    assert out == stream.replace(USAGE, b"")


@pytest.mark.parametrize(
    "text",
    ['"content":"x', "data: [DONE]", '{"choices":[]}', '\n\ndata: {"error": {}}', '","usage":{"prompt_tokens":9}'],
)
def test_content_that_looks_like_framing_is_only_content(text: str) -> None:
    stream = delta("") + delta(text)
    scan, stripper = Scan(streamed=True), UsageStripper()
    scan.feed(stream)
    assert scan.has_content
    assert not scan.done
    assert not scan.errored
    assert scan.usage() is None
    assert stripper.feed(stream) == stream


def test_an_error_in_a_stream_is_seen() -> None:
    scan = Scan(streamed=True)
    scan.feed(delta("a"))
    scan.feed(b'data: {"error": {"message": "m"}}\n\n' + DONE)
    assert scan.errored


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b'{"choices":[{"message":{"content":""}}]}', False),
        (b'{"choices":[{"message":{"content":null}}]}', False),
        (b'{"choices":[{"message":{"content": "a"}}]}', True),
        (b'{"choices":[{"text":"a"}]}', True),
        (b'{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"arguments":"{}"}}]}}]}', True),
    ],
)
def test_content_of_a_whole_answer(body: bytes, content: bool) -> None:
    scan = Scan(streamed=False)
    assert scan.feed(body) is content


def test_usage_of_what_is_no_answer_is_unknown() -> None:
    assert usage_of_answer(b"not json") is None
    assert usage_of_answer(b'{"usage":"x"}') is None


def test_a_partial_event_beyond_the_bound_is_not_held_back_for_ever() -> None:
    stripper = UsageStripper()
    out = sum(len(stripper.feed(b"x" * 10_000)) for _ in range(10))
    assert out >= 60_000
