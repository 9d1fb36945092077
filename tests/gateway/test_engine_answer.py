"""What a whole answer says, whatever its shape."""

from __future__ import annotations

import json

import pytest

from serving.gateway.engine_answer import Said, read


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b'{"choices":[{"message":{"content":""}}]}', False),
        (b'{"choices":[{"message":{"content":null}}]}', False),
        (b'{"choices":[{"message":{"content": "a"}}]}', True),
        (b'{"choices":[{"text":"a"}]}', True),
        (b'{"choices":[]}', False),
        (b'{"choices":[{"message":{"content":[{"text":"a"}]}}]}', True),  # of another shape
        (b'{"choices":[{"message":{"function_call":{"arguments":"{}"}}}]}', True),
        (b'not json, but "text": "a"', True),
        (b"not json", False),
        (b'{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"arguments":"{}"}}]}}]}', True),
    ],
)
def test_content_of_a_whole_answer(body: bytes, content: bool) -> None:
    assert read(body)[0].has_content is content


@pytest.mark.parametrize(
    ("body", "refused", "content"),
    [
        (b'{"choices":[{"message":{"content":null,"refusal":"No."}}]}', True, False),
        (b'{"choices":[{"message":{"content":"a","refusal":null},"finish_reason":"stop"}]}', False, True),
        (b'{"choices":[{"message":{"content":""},"finish_reason": "content_filter"}]}', True, False),
    ],
)
def test_a_whole_answer_that_declines_is_refused(body: bytes, refused: bool, content: bool) -> None:
    assert read(body) == (Said(has_content=content, declined=refused, repeats=False), None)


def chat(*contents: str | None) -> bytes:
    choices = [{"index": i, "message": {"role": "assistant", "content": text}} for i, text in enumerate(contents)]
    return json.dumps({"choices": choices}).encode()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (chat("no " * 20), True),
        (chat("fine", "no " * 20), True),
        (chat(*["Yes."] * 20), False),  # equal choices are no loop
        (chat('a "quoted\\" \n' * 10), True),
        (chat(None), False),
        (json.dumps({"choices": [{"text": "no " * 20}]}, ensure_ascii=False).encode(), True),
        (json.dumps({"choices": [{"message": {"content": None, "reasoning": "hmm " * 20}}]}).encode(), True),
        (b"not json", False),
        (b'{"choices":[{"message":{"content":"\\ud800 no no \\x"}}]}', False),
    ],
)
def test_loops_are_looked_for_choice_by_choice(body: bytes, found: bool) -> None:
    assert read(body)[0].repeats is found


@pytest.mark.parametrize("body", [b"not json", b'{"usage":"x"}', b'{"choices":[],"usage":{"completion_tokens":null}}'])
def test_an_answer_of_another_shape_tells_no_usage(body: bytes) -> None:
    assert read(body) == (Said(has_content=False, declined=False, repeats=False), None)
