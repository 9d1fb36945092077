"""The bytes of answers: whole bodies, and the events of streams in vLLM's framing.

A stream's events differ in their text alone, so what surrounds it is written once per request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

ENGINE_VERSION = "0.32.0"
"""The vLLM version whose API and metrics are simulated."""
DONE = b"data: [DONE]\n\n"

_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Heading:
    """What all parts of one answer share."""

    id: str
    created: int
    model: str
    fingerprint: str
    chat: bool


PromptLogprobs = list[dict[str, dict[str, float | int | str]] | None]
"""By token of the prompt, the first (which nothing predicts) is None; in each entry the token by its id."""


@dataclass(frozen=True)
class Choice:
    index: int
    text: str
    finish_reason: str
    stop_reason: str | None
    prompt_logprobs: PromptLogprobs | None = None


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
    }


def whole_body(heading: Heading, choices: list[Choice], prompt_tokens: int, completion_tokens: int) -> bytes:
    """The body of an answer that is not streamed."""
    body = {
        "id": heading.id,
        "object": "chat.completion" if heading.chat else "text_completion",
        "created": heading.created,
        "model": heading.model,
        "choices": [_chat_choice(one) if heading.chat else _completion_choice(one) for one in choices],
        "service_tier": None,
        "system_fingerprint": heading.fingerprint,
        "usage": {
            **usage(prompt_tokens, completion_tokens),
            "prompt_tokens_details": None,
            "completion_tokens_details": None,
        },
    }
    if heading.chat:
        body |= {"prompt_logprobs": None, "prompt_token_ids": None, "prompt_text": None}
    body |= {"kv_transfer_params": None, "ec_transfer_params": None, "metrics": None}
    return _encode(body)


def _chat_choice(choice: Choice) -> dict[str, Any]:
    return {
        "index": choice.index,
        "message": {
            "role": "assistant", "content": choice.text, "refusal": None, "annotations": None, "audio": None,
            "function_call": None, "reasoning": None,
        },
        "logprobs": None,
        "finish_reason": choice.finish_reason,
        "stop_reason": choice.stop_reason,
        "token_ids": None,
        "routed_experts": None,
    }  # fmt: skip


def _completion_choice(choice: Choice) -> dict[str, Any]:
    return {
        "index": choice.index, "text": choice.text, "logprobs": None, "finish_reason": choice.finish_reason,
        "stop_reason": choice.stop_reason, "token_ids": None, "prompt_logprobs": choice.prompt_logprobs,
        "prompt_token_ids": None,
        "routed_experts": None,
    }  # fmt: skip


class StreamEvents:
    """Writes the events of one streamed answer."""

    def __init__(self, heading: Heading, include_usage: bool, continuous_usage: bool, prompt_tokens: int) -> None:
        self._heading = heading
        self._include_usage = include_usage
        self._continuous = continuous_usage
        self._prompt_tokens = prompt_tokens
        kind = "chat.completion.chunk" if heading.chat else "text_completion"
        fixed = _encode({"id": heading.id, "object": kind, "created": heading.created, "model": heading.model})
        self._head = b"data: " + fixed[:-1] + b',"choices":['
        self._fingerprint = b',"system_fingerprint":' + _encode(heading.fingerprint)

    def opening(self, choices: int) -> bytes:
        """A chat's first events give the role; a completion has none."""
        if not self._heading.chat:
            return b""
        tail = b',"prompt_token_ids":null,"prompt_text":null}\n\n'
        return b"".join(
            self._head
            + b'{"index":%d,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]' % index
            + self._usage(0)
            + tail
            for index in range(choices)
        )

    def delta(self, index: int, text: str, completion_tokens: int) -> bytes:
        """More text of one choice."""
        if self._heading.chat:
            inner = b',"delta":{"content":%b},"logprobs":null,"finish_reason":null,"token_ids":null}]' % _encode(text)
        else:
            inner = (
                b',"text":%b,"logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,'
                b'"token_ids":null}]' % _encode(text)
            )
        return b'%b{"index":%d%b%b}\n\n' % (self._head, index, inner, self._usage(completion_tokens))

    def finish(self, choice: Choice, completion_tokens: int) -> bytes:
        """The last text of one choice, and why it ended."""
        reasons = b'"finish_reason":%b,"stop_reason":%b' % (_encode(choice.finish_reason), _encode(choice.stop_reason))
        text = _encode(choice.text)
        if self._heading.chat:
            inner = b',"delta":{"content":%b},"logprobs":null,%b,"token_ids":null}]' % (text, reasons)
        else:
            inner = b',"text":%b,"logprobs":null,%b,"prompt_token_ids":null,"token_ids":null}]' % (text, reasons)
        # With a usage event to come, the fingerprint goes there.
        mark = b"" if self._include_usage else self._fingerprint
        return b'%b{"index":%d%b%b%b}\n\n' % (self._head, choice.index, inner, self._usage(completion_tokens), mark)

    def closing(self, completion_tokens: int) -> bytes:
        """The usage, if it was asked for, and the end mark."""
        if not self._include_usage:
            return DONE
        numbers = _encode(usage(self._prompt_tokens, completion_tokens))
        return self._head + b'],"usage":' + numbers + self._fingerprint + b"}\n\n" + DONE

    def _usage(self, completion_tokens: int) -> bytes:
        if not self._continuous:
            return b""
        details: dict[str, Any] = {"completion_tokens_details": None} if self._heading.chat else {}
        return b',"usage":' + _encode({**usage(self._prompt_tokens, completion_tokens), **details})
