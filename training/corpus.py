"""The text that the tiny models learn: chats and raw text made from Python's own reference, which is at hand.

Owns how samples look. Does no training and knows no tokenizer; chance comes in as an argument.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pydoc_data.topics import topics

SENTENCES = 700
"""As many as a model of this size learns in a minute well enough to sound like them."""
ANSWER_SENTENCES_MAX = 3
PROMPT_SENTENCES_MAX = 5
PLAIN_SENTENCES_MAX = 4
PROMPTED_SHARE = 0.75
JSON_SHARE = 0.3
"""Chats whose answer is JSON: without them a model under a grammar hardly ever closes a string."""
SYSTEM_SHARE = 0.4

QUESTIONS = (
    "What is known about {words}?",
    "Tell me about {words}.",
    "Explain {words} in a few words.",
    "Continue: {words}",
    "{words}",
)
SYSTEM_PROMPTS = (
    "You answer questions.",
    "You are a careful assistant. Keep to what you know.",
    "Answer shortly and plainly.",
)
KEYS = (
    *("title", "summary", "text", "name", "notes", "song", "songs", "set", "sets", "themes", "mood", "year"),
    *("place", "venue", "reason", "reasons", "answer", "confidence", "sources", "story", "lyrics", "verses"),
    *("line", "lines", "date", "details", "items", "tags", "score", "opener", "closer", "encore"),
)


@dataclass(frozen=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True)
class Chat:
    """The last message is the assistant's."""

    messages: tuple[Message, ...]


@dataclass(frozen=True)
class PlainText:
    """Text without a chat around it and without an end, so that plain completions run to their token limit."""

    text: str


def sentences() -> tuple[str, ...]:
    """The first ``SENTENCES`` plain sentences (20 to 240 characters) of Python's language reference."""
    text = "\n\n".join(topics[name] for name in sorted(topics))
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        plain = re.sub(r"[*`]", "", re.sub(r"\s+", " ", paragraph)).strip()
        if re.match(r"[A-Z].*[.]$", plain) and "::=" not in plain and ">>>" not in plain and "---" not in plain:
            found += re.split(r"(?<=[.?]) (?=[A-Z])", plain)
    return tuple(sentence for sentence in found if 20 <= len(sentence) <= 240)[:SENTENCES]


def chat(known: Sequence[str], chance: random.Random) -> Chat:
    """A prompt and its answer, in words or in JSON, drawn from the sentences ``known``."""
    messages = []
    if chance.random() < SYSTEM_SHARE:
        messages.append(Message("system", chance.choice(SYSTEM_PROMPTS)))
    messages.append(Message("user", _prompt(known, chance)))
    as_json = chance.random() < JSON_SHARE
    answer = json.dumps(_document(known, chance)) if as_json else _passage(known, chance, ANSWER_SENTENCES_MAX)
    messages.append(Message("assistant", answer))
    return Chat(tuple(messages))


def plain_text(known: Sequence[str], chance: random.Random) -> PlainText:
    """A passage, mostly after a prompt: a completion asked for a question goes on in text, too."""
    opening = _prompt(known, chance) + " " if chance.random() < PROMPTED_SHARE else ""
    return PlainText(opening + _passage(known, chance, PLAIN_SENTENCES_MAX))


def _passage(known: Sequence[str], chance: random.Random, sentences_max: int) -> str:
    count = chance.randint(1, sentences_max)
    start = chance.randrange(max(1, len(known) - count))
    return " ".join(known[start : start + count])


def _words(known: Sequence[str], chance: random.Random, words_max: int) -> str:
    words = re.findall(r"[A-Za-z-]+", chance.choice(known))
    count = min(len(words), chance.randint(1, words_max))
    start = chance.randrange(max(1, len(words) - count + 1))
    return " ".join(words[start : start + count])


def _prompt(known: Sequence[str], chance: random.Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(QUESTIONS).format(words=_words(known, chance, 8))
    return _passage(known, chance, PROMPT_SENTENCES_MAX)


def _value(known: Sequence[str], chance: random.Random, depth: int) -> object:
    kind = chance.choice(("text", "text", "list", "number", "year", "objects" if depth == 0 else "text"))
    if kind == "list":
        return [_words(known, chance, 5) for _ in range(chance.randint(1, 4))]
    if kind == "number":
        return round(chance.random(), 2)
    if kind == "year":
        return chance.randint(1965, 1995)
    if kind == "objects":
        return [_document(known, chance, depth + 1) for _ in range(chance.randint(1, 3))]
    return _words(known, chance, 8)


def _document(known: Sequence[str], chance: random.Random, depth: int = 0) -> dict[str, object]:
    keys = chance.sample(KEYS, chance.randint(1, 4))
    return {key: _value(known, chance, depth) for key in keys}
