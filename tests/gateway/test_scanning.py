"""What is found in an answer's bytes, however the network cuts them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.repeating import repeats
from serving.gateway.scanning import Scan, UsageStripper


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
    scan, stripper, out = Scan(), UsageStripper(), b""
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


@given(
    st.lists(st.sampled_from(["no ", "yes ", "a\n", '\"', "\u2014", "\U0001f339"]), min_size=1, max_size=3),
    st.integers(1, 60),
    st.lists(st.integers(0, 100_000), max_size=12),
)
def test_a_stream_repeats_as_its_text_does_however_it_is_cut(unit: list[str], times: int, places: list[int]) -> None:
    stream = b"".join([delta("Once "), *[delta(word) for word in unit * times], USAGE, DONE])
    scan = Scan()
    for chunk in cut(stream, places):
        scan.feed(chunk)
    scan.end()
    assert scan.repeated is repeats("Once " + "".join(unit * times))
    assert not scan.refused


def filtered(**choice: object) -> bytes:
    return event(choices=[{"index": 0, "delta": {}, **choice}])


@pytest.mark.parametrize(
    ("last", "refused"),
    [
        (filtered(finish_reason="content_filter"), True),
        (filtered(delta={"refusal": "I cannot"}), True),
        (filtered(delta={"refusal": None}, finish_reason="stop"), False),
        (filtered(delta={"refusal": ""}), False),
        (delta('"finish_reason":"content_filter","refusal":"x"'), False),  # only words
    ],
)
@pytest.mark.parametrize("words", [0, 1, 2_000])
def test_a_stream_in_which_the_model_declines_is_refused(last: bytes, refused: bool, words: int) -> None:
    scan = Scan()
    for chunk in [*[delta(f"word{i} ") for i in range(words)], last, USAGE, DONE]:
        scan.feed(chunk)
    scan.end()
    assert scan.refused is refused


@pytest.mark.parametrize(
    "text",
    ['"content":"x', "data: [DONE]", '{"choices":[]}', '\n\ndata: {"error": {}}', '","usage":{"prompt_tokens":9}'],
)
def test_content_that_looks_like_framing_is_only_content(text: str) -> None:
    stream = delta("") + delta(text)
    scan, stripper = Scan(), UsageStripper()
    scan.feed(stream)
    assert scan.has_content
    assert not scan.done
    assert not scan.errored
    assert scan.usage() is None
    assert stripper.feed(stream) == stream


def test_an_error_in_a_stream_is_seen() -> None:
    scan = Scan()
    scan.feed(delta("a"))
    scan.feed(b'data: {"error": {"message": "m"}}\n\n' + DONE)
    assert scan.errored


def test_a_partial_event_beyond_the_bound_is_not_held_back_for_ever() -> None:
    stripper = UsageStripper()
    out = sum(len(stripper.feed(b"x" * 10_000)) for _ in range(10))
    assert out >= 60_000
