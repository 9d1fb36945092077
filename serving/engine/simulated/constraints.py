"""Structured output: what a request demands of its answer, and an answer that satisfies it."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from serving.engine.simulated.errors import bad_request
from serving.engine.simulated.patterns import REPEATS_MAX, PatternError, matching_text
from serving.engine.simulated.protocol import GenerationRequest, StructuredOutputs
from serving.engine.simulated.schema_keywords import SchemaError
from serving.engine.simulated.schemas import make_value
from serving.engine.simulated.text import Output, written
from serving.engine.simulated.tokens import Tokenizer

ANY_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}, "count": {"type": "integer"}}}
"""What an answer looks like that must be a JSON object and nothing else is said."""


def constraint_of(request: GenerationRequest) -> StructuredOutputs | None:
    """What the answer must satisfy; None for free text. Raises ApiError (400)."""
    wanted = request.structured_outputs
    chosen = request.response_format
    if chosen is not None and chosen.type == "json_object":
        return StructuredOutputs(json_object=True)
    if chosen is not None and chosen.type == "json_schema" and chosen.json_schema is not None:
        wanted = StructuredOutputs(json=chosen.json_schema.schema)
    if wanted is None:
        return None
    if wanted.grammar is not None or wanted.structural_tag is not None:
        raise bad_request("structured outputs by 'grammar' or 'structural_tag' are not simulated")
    given = [name for name in ("json", "regex", "choice") if getattr(wanted, name) is not None]
    if len(given) > 1:
        raise bad_request(
            "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice')."
        )
    if not given and not wanted.json_object:
        raise bad_request("You must use one kind of structured outputs constraint but none are specified.")
    return wanted


def constrained(wanted: StructuredOutputs, tokens_max: int, tokenizer: Tokenizer, chance: random.Random) -> Output:
    """Text that satisfies the constraint: a rich one if it fits, else the briefest, cut off if that is too long."""
    output = written(_constrained_text(wanted, chance, brief=False), tokenizer, tokens_max)
    if output.tokens < tokens_max:
        return output
    return written(_constrained_text(wanted, chance, brief=True), tokenizer, tokens_max)


def _constrained_text(wanted: StructuredOutputs, chance: random.Random, brief: bool) -> str:
    try:
        if wanted.choice is not None:
            if not wanted.choice:
                raise bad_request("structured outputs by 'choice' need at least one choice")
            return min(wanted.choice, key=len) if brief else chance.choice(wanted.choice)
        if wanted.regex is not None:
            return matching_text(wanted.regex, chance, 0 if brief else REPEATS_MAX)
        schema: Any = ANY_OBJECT if wanted.json is None else wanted.json
        if isinstance(schema, str):
            schema = msgspec.json.decode(schema)
        return msgspec.json.encode(make_value(schema, chance, brief)).decode()
    except (SchemaError, PatternError, msgspec.DecodeError) as error:
        raise bad_request(f"Grammar error: {error}") from error
