"""The requests of a mixed audience: prompts of varying length, some streamed, drawn from a seeded source of chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

_TEXT = (
    "the crowd sang along when the band opened the second set with a long jam that turned into an old song nobody "
    "had heard for years and the tapes show how each night differs from the last"
)
_WORDS = tuple(_TEXT.split())


@dataclass(frozen=True)
class Request:
    path: str
    body: dict[str, Any]
    stream: bool


@dataclass(frozen=True)
class Mix:
    """Shares of the kinds of request, and the range of what is asked for."""

    chat_streamed: float = 0.5
    chat: float = 0.25
    completion: float = 0.25
    output_tokens: Sequence[int] = (16, 32, 48)
    prompt_words: Sequence[int] = (8, 20, 40)


def draw(model: str, mix: Mix, chance: Random) -> Request:
    """One request for ``model``."""
    prompt = " ".join(chance.choices(_WORDS, k=chance.choice(mix.prompt_words)))
    tokens = chance.choice(mix.output_tokens)
    (kind,) = chance.choices(("stream", "chat", "completion"), (mix.chat_streamed, mix.chat, mix.completion))
    if kind == "completion":
        body: dict[str, Any] = {"model": model, "prompt": prompt, "max_tokens": tokens}
        return Request("/v1/completions", body, stream=False)
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": tokens}
    if kind == "stream":
        body["stream"] = True
    return Request("/v1/chat/completions", body, stream=kind == "stream")
