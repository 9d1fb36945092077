"""Streams of the service's own tasks: text, its tokens by the usage, its end."""

from __future__ import annotations

import pytest

from ops.loadtest.streams import Stream

EVENTS = (
    b'data: {"text":"The crowd"}\n\n',
    b'data: {"text":" sang"}\n\n',
    b'data: {"text":"","finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}}\n\n',
    b"data: [DONE]\n\n",
)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_tasks_stream_is_timed_counted_and_whole_however_it_is_cut(size: int) -> None:
    stream = Stream()
    data = b"".join(EVENTS)
    for start in range(0, len(data), size):
        stream.feed(data[start : start + size], at=float(start))
    assert (stream.events, stream.tokens, stream.whole) == (2, 5, True)
    assert stream.first <= stream.last


def test_a_tasks_stream_without_its_end_mark_is_not_whole() -> None:
    stream = Stream()
    stream.feed(b"".join(EVENTS[:3]), at=1.0)
    assert not stream.whole
