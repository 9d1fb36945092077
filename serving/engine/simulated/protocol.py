"""The requests that the engine understands, typed; and their reading, with vLLM's answers to bad ones."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from serving.engine.simulated.errors import (
    ApiError,
    api_error,
    detail,
    from_syntax,
    from_validation,
    invalid_body,
)


class ContentPart(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None


class Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[ContentPart] | UnsetType | None = UNSET


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False


class JsonSchema(msgspec.Struct, frozen=True):
    name: str
    schema: dict[str, Any] | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    type: str
    json_schema: JsonSchema | None = None


class StructuredOutputs(msgspec.Struct, frozen=True):
    json: str | dict[str, Any] | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None
    structural_tag: str | None = None


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What both endpoints have in common. Unknown keys are ignored, as vLLM does."""

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    min_tokens: int = 0
    n: int | None = 1
    seed: int | None = None
    stop: str | list[str] | None = None
    ignore_eos: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    user: str | None = None


class ChatRequest(GenerationRequest, frozen=True, kw_only=True):
    messages: list[Message]
    max_completion_tokens: int | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    echo: bool = False
    add_generation_prompt: bool = True


class CompletionRequest(GenerationRequest, frozen=True, kw_only=True):
    prompt: str | list[str | int | list[int]] | None = None
    logprobs: int | None = None
    echo: bool | None = False
    prompt_logprobs: int | str | None = None
    """Text is not taken for a number here, as it is elsewhere."""
    suffix: str | None = None


class TokenizeRequest(msgspec.Struct, frozen=True):
    model: str | None = None
    prompt: str | UnsetType = UNSET
    messages: list[Message] | UnsetType = UNSET
    return_token_strs: bool | None = False


class DetokenizeRequest(msgspec.Struct, frozen=True):
    tokens: list[int]
    model: str | None = None


RequestType = TypeVar("RequestType", ChatRequest, CompletionRequest, TokenizeRequest, DetokenizeRequest)


def decoder(kind: type[RequestType]) -> msgspec.json.Decoder[RequestType]:
    """Lax as vLLM: ``"3"`` is a number where one is asked for."""
    return msgspec.json.Decoder(kind, strict=False)


def read_request(decoding: msgspec.json.Decoder[RequestType], content_type: str, body: bytes) -> RequestType:
    """Reads a body. Raises ApiError (400)."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        text = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
        raise api_error(400, text, "Bad Request")
    if not body or body.strip() == b"null":
        raise invalid_body("missing", "body", "Field required")
    try:
        return decoding.decode(body.decode())
    except msgspec.ValidationError as error:
        raise _explained(error, body) from error
    except msgspec.DecodeError as error:
        raise from_syntax(error) from error
    except UnicodeDecodeError as error:
        raise detail(400, "There was an error parsing the body") from error


def _explained(error: msgspec.ValidationError, body: bytes) -> ApiError:
    if not body.lstrip().startswith(b"{"):
        return invalid_body("model_attributes_type", "body", "Input should be a valid dictionary")
    return from_validation(error)
