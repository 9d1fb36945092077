"""vLLM's own checks of a request's fields, those that its types do not make. All raise ApiError (400)."""

from __future__ import annotations

from serving.engine.simulated.errors import api_error, bad_request, invalid_body, parameter_error
from serving.engine.simulated.protocol import ChatRequest, CompletionRequest, GenerationRequest

TEXT_PARTS = ("text", "input_text", "output_text", "refusal", "thinking")
GREEDY_BELOW = 1e-5
"""A temperature below this is greedy sampling (vLLM, sampling_params.py)."""


def check_model(name: str | None, served: str) -> None:
    """404 for a model that is not served; a request may leave the model out."""
    if name and name != served:
        message = f"The model `{name}` does not exist. Valid aliases: {served}."
        raise api_error(404, message, "NotFoundError", "model")


def check_chat(request: ChatRequest) -> None:
    """vLLM's own checks of a chat request's fields."""
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
        if isinstance(message.content, list) and any(part.type not in TEXT_PARTS for part in message.content):
            raise bad_request("the simulated model is not a multimodal model")


def check_completion(request: CompletionRequest) -> None:
    """vLLM's own checks of a completion request's fields."""
    check_generation(request)
    if request.prompt is None or request.prompt == "":
        raise parameter_error("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
    if request.logprobs is not None:
        raise bad_request("logprobs are not simulated", "logprobs")
    if request.echo:
        raise bad_request("echo is not simulated", "echo")
    _check_prompt_logprobs(request)
    if request.suffix:
        raise bad_request("suffix is only supported for models with FIM completion rendering", "suffix")


def _check_prompt_logprobs(request: CompletionRequest) -> None:
    count = request.prompt_logprobs
    if count is None:
        return
    if isinstance(count, str):
        raise parameter_error("`prompt_logprobs` must be an integer.", "prompt_logprobs")
    if request.stream and (count > 0 or count == -1):
        raise parameter_error("`prompt_logprobs` are not available when `stream=True`.", "prompt_logprobs")
    if count < -1:
        raise parameter_error("`prompt_logprobs` must be a positive value or -1.", "prompt_logprobs", count)
    if count:
        raise bad_request("of prompt_logprobs only 0, the prompt's own tokens, is simulated", "prompt_logprobs")


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
    """The bounds of the sampling parameters."""
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
    if request.temperature is not None and request.temperature < GREEDY_BELOW and (request.n or 1) > 1:
        raise bad_request(f"n must be 1 when using greedy sampling, got {request.n}.")
    if request.min_tokens < 0:
        raise bad_request(f"min_tokens must be greater than or equal to 0, got {request.min_tokens}.")
