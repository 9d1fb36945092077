"""One sequence of tokens on its way through the engine. A request with ``n`` choices has ``n`` of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    FILTERED = "content_filter"
    """Not vLLM's: what other engines say when the model declined."""


@dataclass(slots=True, eq=False)
class Sequence:
    """Mutable; the scheduler alone changes it after it was submitted. Times are seconds on the engine's clock."""

    prompt_tokens: int
    output_tokens: int
    """How many it will produce, decided before it starts; an end-of-sequence token counts."""
    finish_reason: FinishReason
    arrival: float
    block_hashes: tuple[int, ...] = ()
    """One per full block of the prompt, each depending on all before it."""
    event_interval: int = 0
    """Its owner is told of the first token, then each so many tokens, and of the end; 0: of the end alone."""
    owner: object = None

    total: int = field(init=False)
    """Prompt and produced tokens: what must be in the cache before the next token."""
    computed: int = 0
    produced: int = 0
    announced: int = 0
    """How many produced tokens its owner has been told of."""
    blocks: list[int] = field(default_factory=list)
    remembered: int = 0
    """How many of its prompt's blocks can be found by their hash."""
    cached: int = 0
    """Prompt tokens that were found in the cache when it was first admitted."""
    preemptions: int = 0
    scheduled_at: float | None = None
    first_token_at: float | None = None
    last_token_at: float = 0.0
    finished: FinishReason | None = None

    def __post_init__(self) -> None:
        self.total = self.prompt_tokens
