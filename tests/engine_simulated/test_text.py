"""Tokens and text: reversible, repeatable, and cut where they must be."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engine.simulated.sequence import FinishReason
from serving.engine.simulated.text import Tape, empty, stopped, written
from serving.engine.simulated.tokens import Tokenizer, block_hashes

TOKENIZER = Tokenizer()
TAPE = Tape(seed=3, context_tokens_max=512)


@given(st.text())
def test_decoding_gives_back_what_was_encoded(text: str) -> None:
    tokens = TOKENIZER.encode(text)
    assert all(0 <= token < TOKENIZER.size for token in tokens)
    assert TOKENIZER.decode(tokens) == text


def test_english_takes_about_as_many_tokens_as_words() -> None:
    text = "The road to the river is long and the night is cold. We sing until the morning comes."
    assert 15 <= len(TOKENIZER.encode(text)) <= 35


@given(st.text(max_size=60))
def test_a_text_written_in_pieces_is_the_text(text: str) -> None:
    output = written(text, TOKENIZER, tokens_max=1000)
    assert output.text(0, output.tokens) == text
    assert "".join(output.text(at, at + 1) for at in range(output.tokens)) == text
    assert output.finish_reason is FinishReason.STOP
    assert output.tokens == len(TOKENIZER.encode(text)) + 1  # the end of the sequence is a token too


def test_a_text_that_does_not_fit_is_cut_off_at_the_limit() -> None:
    output = written("one two three four", TOKENIZER, tokens_max=2)
    assert (output.text(0, 2), output.tokens, output.finish_reason) == ("one two", 2, FinishReason.LENGTH)


@pytest.mark.parametrize(
    ("natural", "tokens", "reason"),
    [(5, 6, FinishReason.STOP), (9, 10, FinishReason.STOP), (10, 10, FinishReason.LENGTH),
     (None, 10, FinishReason.LENGTH)],
)  # fmt: skip
def test_free_text_ends_by_itself_or_at_the_limit(natural: int | None, tokens: int, reason: FinishReason) -> None:
    output = TAPE.free_text(random.Random(1), natural, 10)
    assert (output.tokens, output.finish_reason) == (tokens, reason)
    text = output.text(0, output.tokens)
    assert text[0].isupper()
    assert text == "".join(output.text(at, at + 1) for at in range(tokens))


def test_each_token_of_free_text_is_one_token_of_the_tokenizer() -> None:
    output = TAPE.free_text(random.Random(1), None, 300)
    assert len(TOKENIZER.encode(output.text(0, 300))) == 300


def test_the_same_chance_gives_the_same_text() -> None:
    texts = [TAPE.free_text(random.Random(seed), None, 30).text(0, 30) for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


def test_a_stop_string_ends_the_text_before_it() -> None:
    output = stopped(written("one two three four five", TOKENIZER, 100), ["ree f", "zebra"])
    assert output.text(0, output.tokens) == "one two th"
    assert (output.finish_reason, output.stop_reason) == (FinishReason.STOP, "ree f")
    assert output.tokens < 9


def test_a_stop_string_that_never_comes_changes_nothing() -> None:
    output = written("one two", TOKENIZER, 100)
    assert stopped(output, ["zebra"]) is output


def test_an_empty_output_is_one_token_without_text() -> None:
    assert (empty().text(0, 1), empty().tokens) == ("", 1)


def test_block_hashes_are_equal_exactly_as_far_as_the_tokens_are() -> None:
    first, second = list(range(10)), [*range(5), 99, *range(6, 10)]
    assert len(block_hashes(first, 4)) == 2
    assert block_hashes(first, 4)[0] == block_hashes(second, 4)[0]
    assert block_hashes(first, 4)[1] != block_hashes(second, 4)[1]
    assert block_hashes([0, *first], 4)[1] != block_hashes(first, 4)[1]
