"""The requests that the engine understands, typed; and their reading, with vLLM's answers to bad ones."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from serving.engine.simulated.errors import (
    ApiError,
    api_error,
    bad_request,
    detail,
    from_syntax,
    from_validation,
    invalid_body,
    parameter_error,
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


def check_chat(request: ChatRequest) -> None:
    """vLLM's own checks of a chat request's fields. Raises ApiError (400)."""
    check_generation(request)
    if request.tools is not None and not request.tools:
        raise parameter_error(
            "`tools` must not be an empty array. Either provide at least one tool or omit the field entirely.", "tools"
        )
    if request.tool_choice not in (None, "none") and not request.tools:
        raise parameter_error("When using `tool_choice`, `tools` must be set.", "tool_choice")
    if request.tools and request.tool_choice != "none":
        raise bad_request("tools are not simulated: omit `tools` or set `tool_choice` to 'none'", "tools")
    if request.top_logprobs and not request.logprobs:
        raise parameter_error("when using `top_logprobs`, `logprobs` must be set to true.", "top_logprobs")
    if request.logprobs:
        raise bad_request("logprobs are not simulated", "logprobs")
    if request.echo:
        raise bad_request("echo is not simulated", "echo")
    for index, message in enumerate(request.messages):
        if message.content is None and message.role != "assistant":
            raise invalid_body("string_type", f"body.messages.{index}.content", "Input should be a valid string")


def check_completion(request: CompletionRequest) -> None:
    """vLLM's own checks of a completion request's fields. Raises ApiError (400)."""
    check_generation(request)
    if request.prompt is None or request.prompt == "":
        raise parameter_error("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
    if request.logprobs is not None:
        raise bad_request("logprobs are not simulated", "logprobs")
    if request.echo:
        raise bad_request("echo is not simulated", "echo")
    if request.suffix:
        raise bad_request("suffix is only supported for models with FIM completion rendering", "suffix")


def check_generation(request: GenerationRequest) -> None:
    if request.stream_options is not None and not request.stream:
        raise parameter_error("Stream options can only be defined when `stream=True`.", "stream_options")
    chosen = request.response_format
    if chosen is not None:
        if chosen.type not in ("text", "json_object", "json_schema"):
            raise invalid_body(
                "literal_error", "body.response_format.type", "Input should be 'text', 'json_object' or 'json_schema'"
            )
        if chosen.type == "json_schema" and chosen.json_schema is None:
            raise parameter_error(
                "When response_format type is 'json_schema', the 'json_schema' field must be provided.",
                "response_format",
            )


def check_sampling(request: GenerationRequest) -> None:
    """The bounds of the sampling parameters. Raises ApiError (400)."""
    for name, low, high, wanted in (
        ("presence_penalty", -2.0, 2.0, "in [-2, 2]"), ("frequency_penalty", -2.0, 2.0, "in [-2, 2]"),
    ):  # fmt: skip
        value = getattr(request, name)
        if value is not None and not low <= value <= high:
            raise bad_request(f"{name} must be {wanted}, got {value}.")
    if request.n is not None and request.n < 1:
        raise bad_request(f"n must be at least 1, got {request.n}.")
    if request.repetition_penalty is not None and request.repetition_penalty <= 0:
        raise bad_request(f"repetition_penalty must be greater than zero, got {request.repetition_penalty}.")
    if request.temperature is not None and request.temperature < 0:
        value = request.temperature
        raise parameter_error(f"temperature must be non-negative, got {value}.", "temperature", value)
    if request.temperature is not None and request.temperature > 2:
        value = request.temperature
        raise parameter_error(f"temperature must be in [0, 2], got {value}.", "temperature", value)
    if request.top_p is not None and not 0 < request.top_p <= 1:
        raise parameter_error(f"top_p must be in (0, 1], got {request.top_p}.", "top_p", request.top_p)
    if request.top_k is not None and request.top_k < -1:
        raise bad_request(f"top_k must be 0 (disable), or at least 1, got {request.top_k}.")
    if request.min_p is not None and not 0 <= request.min_p <= 1:
        raise bad_request(f"min_p must be in [0, 1], got {request.min_p}.")
    if request.min_tokens < 0:
        raise bad_request(f"min_tokens must be greater than or equal to 0, got {request.min_tokens}.")
