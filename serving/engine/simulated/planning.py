"""From a request to what will be produced for it: prompts in tokens, and one output per choice.

Pure: the chance of a request is an argument. Raises the errors that vLLM answers for requests it cannot serve.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET

from serving.engine.simulated.checks import GREEDY_BELOW
from serving.engine.simulated.constraints import constrained, constraint_of
from serving.engine.simulated.errors import bad_request, parameter_error
from serving.engine.simulated.faulting import Fault
from serving.engine.simulated.profile import Profile
from serving.engine.simulated.protocol import (
    ChatRequest,
    CompletionRequest,
    GenerationRequest,
    Message,
)
from serving.engine.simulated.sequence import FinishReason
from serving.engine.simulated.text import Output, Tape, empty, stopped
from serving.engine.simulated.tokens import Tokenizer

CHOICES_MAX = 128
"""Sequences of one request at most. vLLM has no such bound; a simulated engine guards its memory."""
COMPLETION_TOKENS_DEFAULT = 16


@dataclass(frozen=True)
class Model:
    """What planning needs to know of the engine."""

    profile: Profile
    tokenizer: Tokenizer
    tape: Tape


@dataclass(frozen=True)
class Planned:
    prompts: tuple[tuple[int, ...], ...]
    outputs: tuple[Output, ...]
    """``n`` per prompt, prompt by prompt."""
    tokens_max: int
    n: int
    prompt_logprobs: bool = False
    """Whether the answer says how likely each token of the prompt was."""


def rendered(messages: Sequence[Message]) -> str:
    """The chat template: ``role: content`` lines, then the assistant's turn."""
    parts = []
    for message in messages:
        content = message.content
        if content is UNSET or content is None:
            content = ""
        elif not isinstance(content, str):
            content = "".join(part.text or "" for part in content)
        parts.append(f"{message.role}: {content}\n")
    return "".join(parts) + "assistant: "


def plan_chat(request: ChatRequest, model: Model, fault: Fault, chance: random.Random) -> Planned:
    """Raises ApiError (400)."""
    if not request.messages:
        raise bad_request("Cannot apply chat template to an empty conversation. Provide at least one message.")
    prompt = _encoded(rendered(request.messages), model)
    limit = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    return _planned(request, (prompt,), limit, model, fault, chance)


def plan_completion(request: CompletionRequest, model: Model, fault: Fault, chance: random.Random) -> Planned:
    """Raises ApiError (400)."""
    prompts = _completion_prompts(request.prompt, model)
    limit = request.max_tokens if request.max_tokens is not None else COMPLETION_TOKENS_DEFAULT
    planned = _planned(request, prompts, limit, model, fault, chance)
    return replace(planned, prompt_logprobs=request.prompt_logprobs is not None)


def _encoded(text: str, model: Model) -> tuple[int, ...]:
    """The prompt's tokens; a text that cannot fit is refused before its tokens are counted."""
    context = model.profile.max_model_len
    chars_max = context * model.tokenizer.chars_per_token_max
    if len(text) > chars_max:
        raise parameter_error(
            f"This model's maximum context length is {context} tokens. However, your prompt contains {len(text)} "
            f"characters (more than {chars_max} characters, which is the upper bound for {context} input tokens). "
            "Please reduce the length of the input prompt.",
            "input_text",
            len(text),
        )
    return tuple(model.tokenizer.encode(text))


def _completion_prompts(prompt: Any, model: Model) -> tuple[tuple[int, ...], ...]:
    if isinstance(prompt, str):
        return (_encoded(prompt, model),)
    if not prompt:
        raise bad_request("You must pass at least one prompt")
    listed = [tuple(prompt)] if isinstance(prompt[0], int) else prompt
    prompts = []
    for one in listed:
        tokens = _encoded(one, model) if isinstance(one, str) else tuple(one)
        if any(not isinstance(token, int) for token in tokens):
            raise bad_request("a prompt is either text or a list of token ids", "prompt")
        unknown = [token for token in tokens if not 0 <= token < model.tokenizer.size]
        if unknown:
            raise bad_request(f"Token id {unknown[0]} is out of vocabulary")
        if not tokens:
            raise parameter_error("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
        prompts.append(tokens)
    return tuple(prompts)


def _planned(
    request: GenerationRequest,
    prompts: tuple[tuple[int, ...], ...],
    limit: int | None,
    model: Model,
    fault: Fault,
    chance: random.Random,
) -> Planned:
    tokens_max = _tokens_max(prompts, limit, model.profile.max_model_len)
    n = request.n or 1
    if request.min_tokens > tokens_max:
        raise bad_request(
            f"min_tokens must be less than or equal to max_tokens={tokens_max}, got {request.min_tokens}."
        )
    if n * len(prompts) > CHOICES_MAX:
        raise bad_request(f"at most {CHOICES_MAX} choices are simulated per request", "n")
    if request.temperature is not None and request.temperature < GREEDY_BELOW:
        # Greedy sampling: the same prompt has the same answer.
        chance = random.Random(hash((model.profile.seed, prompts)))  # noqa: S311 - repeatable by design
    outputs = tuple(_output(request, tokens_max, model, fault, chance) for _ in range(n * len(prompts)))
    return Planned(prompts, outputs, tokens_max, n)


def _tokens_max(prompts: tuple[tuple[int, ...], ...], limit: int | None, context: int) -> int:
    longest = max(map(len, prompts))
    if limit is not None and limit > context:
        raise parameter_error(
            f"max_tokens={limit} cannot be greater than max_model_len={context}. Please request fewer output tokens.",
            "max_tokens",
            limit,
        )
    if longest >= context:  # no room for even one token
        raise parameter_error(
            f"This model's maximum context length is {context} tokens. However, your prompt contains at least "
            f"{context + 1} input tokens, which exceeds this limit even without any output tokens. "
            "Please reduce the length of the input prompt.",
            "input_tokens",
            context + 1,
        )
    if limit is not None and limit < 1:
        raise parameter_error(f"max_tokens must be at least 1, got {limit}.", "max_tokens", limit)
    return min(context - longest, limit if limit is not None else context)


def _output(
    request: GenerationRequest, tokens_max: int, model: Model, fault: Fault, chance: random.Random
) -> Output:
    constraint = constraint_of(request)
    if fault is Fault.EMPTY:
        return empty()
    if fault is Fault.DECLINE:
        return empty(FinishReason.FILTERED)
    if fault is Fault.REPEAT:
        return model.tape.repeated(chance, tokens_max)
    if constraint is not None:
        return constrained(constraint, tokens_max, model.tokenizer, chance)
    natural: int | None = None
    if not request.ignore_eos:
        # Geometric in steps of a token: the same chance to end after each.
        natural = 1 + int(chance.expovariate(1.0) * model.profile.output_tokens_mean)
        natural = max(natural, request.min_tokens)
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    return stopped(model.tape.free_text(chance, natural, tokens_max), [stop for stop in stops if stop])
