"""What a sequence says: one piece of text per output token, known before it starts.

Free text is a stretch of one long tape, so that a token costs nothing; structured text is cut into its own tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from serving.engine.simulated.sequence import FinishReason
from serving.engine.simulated.tokens import Tokenizer
from serving.engine.simulated.vocabulary import WORDS

TAPE_STARTS = 1 << 15
"""A text starts at a sentence within the first so many tokens of the tape."""
SENTENCE_WORDS_MIN, SENTENCE_WORDS_MAX = 4, 14


@dataclass(frozen=True)
class Output:
    """The tokens of one choice. Tokens past ``text_tokens`` have no text: the end of the sequence."""

    pieces: Sequence[str]
    start: int
    text_tokens: int
    tokens: int
    finish_reason: FinishReason
    stop_reason: str | None = None

    def text(self, begin: int, end: int) -> str:
        """The text of tokens ``begin`` to ``end`` (exclusive)."""
        end = min(end, self.text_tokens)
        if begin >= end:
            return ""
        joined = "".join(self.pieces[self.start + begin : self.start + end])
        # A tape's sentence begins with a space, an answer does not.
        return joined.lstrip(" ") if begin == 0 and self.start else joined


class Tape:
    """A long run of sentences, the same for the same seed."""

    def __init__(self, seed: int, context_tokens_max: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - invented text, no secret
        self.pieces: list[str] = ["", ""]
        self.starts: list[int] = []
        while len(self.pieces) < TAPE_STARTS + context_tokens_max:
            self.starts.append(len(self.pieces))
            words = chance.choices(WORDS, k=chance.randint(SENTENCE_WORDS_MIN, SENTENCE_WORDS_MAX))
            self.pieces += [" " + words[0].title(), *(" " + word for word in words[1:]), "."]
        self.starts = [start for start in self.starts if start < TAPE_STARTS]

    def free_text(self, chance: random.Random, natural_tokens: int | None, tokens_max: int) -> Output:
        """Text that ends by itself after ``natural_tokens`` (None: never), or at the limit."""
        start = self.starts[int(chance.random() * len(self.starts))]
        if natural_tokens is None or natural_tokens >= tokens_max:
            return Output(self.pieces, start, tokens_max, tokens_max, FinishReason.LENGTH)
        return Output(self.pieces, start, natural_tokens, natural_tokens + 1, FinishReason.STOP)

    def repeated(self, chance: random.Random, tokens_max: int) -> Output:
        word = self.pieces[self.starts[int(chance.random() * len(self.starts))]]
        return Output([word] * tokens_max, 0, tokens_max, tokens_max, FinishReason.LENGTH)


def empty(reason: FinishReason = FinishReason.STOP) -> Output:
    """The first token ends the sequence."""
    return Output((), 0, 0, 1, reason)


def written(text: str, tokenizer: Tokenizer, tokens_max: int) -> Output:
    """Exactly this text and then the end of the sequence, or as much of it as fits."""
    pieces = _pieces(text, tokenizer)
    if len(pieces) >= tokens_max:
        return Output(pieces, 0, tokens_max, tokens_max, FinishReason.LENGTH)
    return Output(pieces, 0, len(pieces), len(pieces) + 1, FinishReason.STOP)


def _pieces(text: str, tokenizer: Tokenizer) -> list[str]:
    """The text's tokens; a character of several bytes appears with its last one, as in a real stream."""
    pieces: list[str] = []
    held = b""
    for token in tokenizer.encode(text):
        held += tokenizer.piece(token)
        try:
            pieces.append(held.decode())
            held = b""
        except UnicodeDecodeError:
            pieces.append("")
    return pieces


def stopped(output: Output, stops: Sequence[str]) -> Output:
    """The output ended by the first stop string in it. The string itself is not part of the text."""
    if not stops:
        return output
    whole = output.text(0, output.tokens)
    found = [(at, stop) for stop in stops if (at := whole.find(stop)) >= 0]
    if not found:
        return output
    at, stop = min(found)
    pieces: list[str] = []
    length = 0
    while length < at + len(stop):
        piece = output.text(len(pieces), len(pieces) + 1)
        # What follows the stop string's start is never shown, although its tokens are produced.
        pieces.append(piece[: max(0, at - length)])
        length += len(piece)
    return Output(pieces, 0, len(pieces), len(pieces), FinishReason.STOP, stop)
