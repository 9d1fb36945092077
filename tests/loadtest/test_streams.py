"""Tokens are counted exactly, however a stream is cut, and a stream with an error is no answer."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.loadtest.streams import Stream


def event(content: str = "", **more: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": content}}], **more}).encode() + b"\n\n"


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":12,"total_tokens":15}}\n\n'
END = b"data: [DONE]\n\n"


def fed(*pieces: bytes) -> Stream:
    stream = Stream()
    for at, piece in enumerate(pieces, start=1):
        stream.feed(piece, float(at))
    return stream


@given(
    st.lists(st.text(min_size=1, max_size=20), max_size=30), st.lists(st.integers(0, 4000), max_size=20), st.booleans()
)
def test_every_event_is_counted_wherever_packets_begin(words, cuts, crlf):
    data = event() + b"".join(event(word) for word in words) + USAGE + END
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    stream = fed(*(data[a:b] for a, b in pairwise(edges)))
    assert stream.events == len(words)
    assert stream.whole
    assert not stream.broken
    assert stream.tokens == 12
    assert len(stream.intervals) == max(0, len(words) - 1)
    assert all(seconds >= 0 for seconds in stream.intervals)


def test_times_are_those_of_events_with_content():
    stream = fed(event(), event("a"), event("b") + event("c"), event(""), event("d"), END)
    assert (stream.first, stream.last, stream.intervals) == (2.0, 5.0, [1.0, 0.0, 2.0])


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"choices":[{"text":"a"}]}\n\n',
        b'data: {"choices":[{"delta":{"reasoning_content":"a"}}]}\n\n',
        b'data:{"text":"a"}\n\n',
        b'event: token\nid: 7\ndata: {"text":"a"}\n\n',
        b'data: {"text":\ndata: "a"}\n\n',
    ],
)
def test_content_is_seen_in_every_form_that_servers_send(data):
    stream = fed(data)
    assert (stream.events, stream.broken) == (1, False)


def test_comments_are_no_events():
    stream = fed(b": ping\n\n", b":\n\n", event("a"), END)
    assert (stream.events, stream.whole, stream.broken) == (1, True, False)


@pytest.mark.parametrize(
    "data", [b'data: {"error":{"message":"engine died"}}\n\n', b"data: <html>\n\n", b"data: 7\n\n"]
)
def test_an_error_among_the_events_breaks_the_stream_though_its_end_mark_comes(data):
    stream = fed(event("a"), data, END)
    assert stream.whole
    assert stream.broken


def test_an_error_that_is_null_is_none():
    assert not fed(event("a", error=None)).broken


def test_a_stream_without_its_end_mark_is_not_whole():
    assert not fed(event("a"), END[:-1]).whole


@pytest.mark.parametrize(
    ("told", "named", "reconciled"), [(4, [2, 2], True), (5, [2, 2], False), (4, [0, 0], True), (1, [0, 0], False)]
)
def test_the_usage_told_is_held_against_what_came(told, named, reconciled):
    pieces = [
        b"data: " + json.dumps({"choices": [{"text": "a", "token_ids": list(range(count))}]}).encode() + b"\n\n"
        for count in named
    ]
    usage = b'data: {"usage":{"completion_tokens":%d}}\n\n' % told
    assert fed(*pieces, usage, END).reconciled is reconciled


def test_an_event_without_end_is_refused():
    stream = Stream()
    for _ in range(8):
        stream.feed(b"x" * (1 << 17), 1.0)
    with pytest.raises(ValueError, match="too long"):
        stream.feed(b"x", 1.0)
