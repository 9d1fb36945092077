"""A request to one of the service's own tasks: checked against its schema, and turned into words for an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from serving.contract import ServingConfig, TaskConfig, TaskKind
from serving.gateway import errors
from serving.tasks.catalogue import Task

_anything = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class TaskAsked:
    """A request that passed the door."""

    tier: str
    streamed: bool
    prompt_chars: int
    """Of all the texts in the request: the same whichever template will render it."""
    output_tokens: int
    fields: dict[str, Any]


def decode(body: bytes) -> dict[str, Any]:
    """The request's fields. Raises Problem 400."""
    try:
        fields = _anything.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise errors.not_json(str(e) if isinstance(e, msgspec.DecodeError) else "not UTF-8, or too deep") from e
    if not isinstance(fields, dict):
        raise errors.not_json("it must be an object")
    return fields


def tier_of(config_task: TaskConfig, fields: dict[str, Any], config: ServingConfig) -> str:
    """The tier that the request names, or the task's own. Raises Problem 404."""
    model = fields.get("model")
    if not isinstance(model, str):  # the schema will complain, if it is there
        return config_task.tier
    for name, tier in config.tiers.items():
        if model in (tier.model, name):
            return name
    raise errors.unknown_model(sorted(tier.model for tier in config.tiers.values()))


def check(config_task: TaskConfig, task: Task, fields: dict[str, Any], tier: str, config: ServingConfig) -> TaskAsked:
    """Raises Problem: 422 with every fault, 400 over a limit."""
    if faults := task.faults(fields):
        places = tuple({"path": fault.path, "message": fault.message} for fault in faults)
        message = f"the request does not match the task's schema in {len(places)} place{'s' * (len(places) > 1)}"
        raise errors.Problem(422, "invalid_request", message, places=places)
    chars = _chars(fields)
    if chars > config.limits.prompt_chars_max:
        raise errors.prompt_too_long(chars, config.limits.prompt_chars_max)
    tokens = fields.get("max_tokens", config_task.output_tokens_max)
    if tokens > config_task.output_tokens_max:
        raise errors.over_tokens(tokens, config_task.output_tokens_max, "max_tokens")
    return TaskAsked(tier, bool(fields.get("stream")), chars, tokens, fields)


def engine_body(config_task: TaskConfig, task: Task, asked: TaskAsked, model: str) -> bytes:
    """The chat completion that the engine is asked for. Raises RenderError."""
    body: dict[str, Any] = {
        "model": model,
        "messages": task.messages(asked.fields),
        "max_tokens": asked.output_tokens,
        "stream": asked.streamed,
    }
    if asked.streamed:
        body["stream_options"] = {"include_usage": True}
    if "temperature" in asked.fields:
        body["temperature"] = asked.fields["temperature"]
    if config_task.kind is TaskKind.STRUCTURED:
        schema = {"name": task.name, "schema": task.schemas.answer, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return msgspec.json.encode(body)


def _chars(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_chars, value.values()))
    if isinstance(value, list):
        return sum(map(_chars, value))
    return 0
