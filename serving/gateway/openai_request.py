"""What the gateway must know of an OpenAI request, and the body that goes to the engine.

The client's bytes go on as they came; what the gateway adds is put in before the closing brace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from serving.contract import ServingConfig, TaskConfig, TaskKind
from serving.gateway import errors

CHARS_PER_TOKEN = 4
"""For prompts given as token ids: the rule of thumb for English text."""


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


class _Common(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None


class _Chat(_Common):
    messages: list[_Message] = msgspec.field(default_factory=list)


class _Completion(_Common):
    prompt: str | list[Any] | None = None


_chat = msgspec.json.Decoder(_Chat)
_completion = msgspec.json.Decoder(_Completion)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that passed the door."""

    tier: str
    streamed: bool
    prompt_chars: int
    output_tokens: int
    """At most this many in all its choices."""
    body: bytes
    """For the engine."""
    usage_added: bool
    """The gateway asked for the stream's usage, and the client did not."""


def parse(task: TaskConfig, body: bytes, config: ServingConfig) -> Asked:
    """Raises Problem: 400 for what is wrong or over a limit, 404 for an unknown model."""
    request: _Chat | _Completion
    try:
        request = _chat.decode(body) if task.kind is TaskKind.OPENAI_CHAT else _completion.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        # Only a decoder's own message is free of content.
        raise errors.not_json(str(e) if isinstance(e, msgspec.DecodeError) else "not UTF-8, or too deep") from e
    tier = _tier(task, request.model, config)
    if isinstance(request, _Chat):
        chars, prompts = _chat_chars(request.messages), 1
    else:
        chars, prompts = _prompt_chars(request.prompt)
    if chars > config.limits.prompt_chars_max:
        raise errors.prompt_too_long(chars, config.limits.prompt_chars_max)
    choices = prompts * (1 if request.n is None else request.n)
    if choices < 1:
        raise errors.Problem(400, "invalid_value", "n must be at least 1", param="n")
    each = _tokens_each(task, request, choices)
    added = _added(request, each, config.tiers[tier].model)
    return Asked(
        tier,
        bool(request.stream),
        chars,
        each * choices,
        _with(body, added),
        "stream_options" in added,
    )


def _tier(task: TaskConfig, model: str | None, config: ServingConfig) -> str:
    if model is None:
        return task.tier
    for name, tier in config.tiers.items():
        if model in (tier.model, name):
            return name
    raise errors.unknown_model(sorted(tier.model for tier in config.tiers.values()))


def _tokens_each(task: TaskConfig, request: _Common, choices: int) -> int:
    """Output tokens per choice. Raises Problem if all choices together could pass the task's cap."""
    cap = task.output_tokens_max
    given = [
        (name, value)
        for name, value in (
            ("max_tokens", request.max_tokens),
            ("max_completion_tokens", request.max_completion_tokens),
        )
        if value is not None
    ]
    for name, value in given:
        if value * choices > cap:
            raise errors.over_tokens(value * choices, cap, name)
        if value < 1:
            raise errors.Problem(400, "invalid_value", f"{name} must be at least 1", param=name)
    if choices > cap:
        raise errors.over_tokens(choices, cap, "n")
    return min((value for _, value in given), default=cap // choices)


def _added(request: _Common, tokens_each: int, model: str) -> dict[str, Any]:
    """What the engine must be told beyond the client's words."""
    added: dict[str, Any] = {}
    if request.max_tokens is None and request.max_completion_tokens is None:
        added["max_tokens"] = tokens_each
    if request.model != model:
        added["model"] = model
    if request.stream and not (request.stream_options or {}).get("include_usage"):
        # Without it a stream tells nothing of its tokens, and usage would have to be guessed.
        added["stream_options"] = {**(request.stream_options or {}), "include_usage": True}
    return added


def _with(body: bytes, added: dict[str, Any]) -> bytes:
    """The body with these keys set. Without any of them in it, its bytes stay as they are."""
    if not added:
        return body
    if any(b'"%s"' % key.encode() in body for key in added):
        # Perhaps only inside a text; decoding is the slow way but always right.
        return msgspec.json.encode({**msgspec.json.decode(body), **added})
    end = body.rindex(b"}")
    separator = b"," if body[:end].rstrip() != b"{" else b""
    return body[:end] + separator + msgspec.json.encode(added)[1:-1] + b"}"


def _chat_chars(messages: list[_Message]) -> int:
    if not messages:
        raise errors.Problem(400, "invalid_value", "messages must hold at least one message", param="messages")
    total = 0
    for message in messages:
        content = message.content
        if isinstance(content, str):
            total += len(content)
        elif content is not None:
            total += sum(len(part.text) for part in content)
    return total


def _prompt_chars(prompt: str | list[Any] | None) -> tuple[int, int]:
    """Characters, and how many prompts there are."""
    if isinstance(prompt, str):
        return len(prompt), 1
    if not prompt:
        raise errors.Problem(400, "invalid_value", "prompt must be a text or a list", param="prompt")
    if all(type(item) is int for item in prompt):
        return CHARS_PER_TOKEN * len(prompt), 1
    if all(isinstance(item, str) for item in prompt):
        return sum(map(len, prompt)), len(prompt)
    if all(isinstance(item, list) for item in prompt):
        return CHARS_PER_TOKEN * sum(map(len, prompt)), len(prompt)
    message = "prompt must be text or tokens, or a list of one of them"
    raise errors.Problem(400, "invalid_value", message, param="prompt")
