"""The simulated tokenizer: reversible, deterministic, about as coarse as a real one on English text.

A word of the vocabulary is one token; other letters go in threes; everything else is one token per byte of UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from serving.engine.simulated.vocabulary import WORDS

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz "
_PIECE = re.compile(r" ?[A-Za-z]+|[\s\S]")
_BYTES = 256


class Tokenizer:
    """Ids: 0 to 255 are bytes, then the words (plain, with a space before), then all triples of letters and space."""

    def __init__(self) -> None:
        words = [word for plain in WORDS for word in (plain, " " + plain, plain.title(), " " + plain.title())]
        self._words = list(dict.fromkeys(words))
        self._id_of = {word: _BYTES + index for index, word in enumerate(self._words)}
        self._triples_at = _BYTES + len(self._words)
        self._digit = {letter: index for index, letter in enumerate(_LETTERS)}
        self.end_of_sequence = self._triples_at + len(_LETTERS) ** 3
        self.size = self.end_of_sequence + 1
        self.chars_per_token_max = max(map(len, self._words))

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in _PIECE.findall(text):
            known = self._id_of.get(piece)
            if known is not None:
                ids.append(known)
            elif len(piece) == 1 and piece < "\x80":
                ids.append(ord(piece))
            elif len(piece) == 1:
                ids += piece.encode("utf-8", "surrogatepass")
            else:
                ids += self._spell(piece)
        return ids

    def _spell(self, word: str) -> Iterable[int]:
        digit = self._digit
        whole = len(word) - len(word) % 3
        for at in range(0, whole, 3):
            yield self._triples_at + (digit[word[at]] * 53 + digit[word[at + 1]]) * 53 + digit[word[at + 2]]
        yield from word[whole:].encode()

    def piece(self, token: int) -> bytes:
        """The bytes of one token; none for an id that has no text."""
        if token < _BYTES:
            return bytes([token])
        if token < self._triples_at:
            return self._words[token - _BYTES].encode()
        if token < self.end_of_sequence:
            rest, third = divmod(token - self._triples_at, 53)
            first, second = divmod(rest, 53)
            return (_LETTERS[first] + _LETTERS[second] + _LETTERS[third]).encode()
        return b""

    def decode(self, tokens: Sequence[int]) -> str:
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")


def block_hashes(tokens: Sequence[int], block_size: int) -> tuple[int, ...]:
    """One hash per full block, each over all tokens up to its end. Equal prefixes have equal hashes, in any process."""
    hashes = []
    before = 0
    for end in range(block_size, len(tokens) + 1, block_size):
        before = hash((before, *tokens[end - block_size : end]))
        hashes.append(before)
    return tuple(hashes)
