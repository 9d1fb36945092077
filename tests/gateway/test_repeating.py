"""What counts as saying the same over and over, and what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.repeating import (
    CHARS_MIN,
    PENDING_BYTES_MAX,
    REPEATS_MIN,
    TAIL_CHARS,
    UNIT_CHARS_MAX,
    Spoken,
    repeats,
)

CHORUS = "Truckin', like the do-dah man, once told me you've got to play your hand\n"
VERSE = "Sometimes the light is all shining on me, other times I can barely see; lately it occurs to me.\n"
SETLIST = "".join(f"{n}. Drums\n" for n in range(1, 12))
TABLE = "| song | key |\n|------|-----|\n" + "|-" * 200


@pytest.mark.parametrize(
    "text",
    [
        "no " * 17,
        "ha" * 24,
        CHORUS * (REPEATS_MIN + 1),
        VERSE + CHORUS * REPEATS_MIN,
        VERSE + CHORUS * REPEATS_MIN + CHORUS[:30],  # the token limit came in mid-line
        json.dumps({"songs": ["Dark Star"] * 20}),  # a closing bracket hides nothing
        "愛" * 60,
        "\ufffd" * 60,  # bytes that are no text
        "7, " * 40,
        "x" * 100_000,
        "".join(map(str, range(40))) * REPEATS_MIN,
    ],
)
def test_a_loop_is_seen(text: str) -> None:
    assert repeats(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "no " * 15,
        VERSE + CHORUS * (REPEATS_MIN - 1) + "...",
        CHORUS * REPEATS_MIN + VERSE,  # it left the loop
        SETLIST,
        "We played Dark Star. " * 5,
        TABLE,
        "Here it is:" + "\n" * 500,
        '{"songs": [' + " " * 500 + "]}",
        '{"songs": [' + "[], " * 100,
        "-" * 400,
        json.dumps([{"song": f"Song {n}", "set": 1, "encore": False} for n in range(40)]),
        "".join(f"It is {n}. " for n in range(100)),
    ],
)
def test_what_only_looks_alike_is_no_loop(text: str) -> None:
    assert not repeats(text)


def test_no_piece_of_this_projects_pages_and_sources_is_a_loop() -> None:
    project = Path(__file__).resolve().parents[2]
    folders = [project / name for name in ("docs", "ops", "serving", "tests")]
    texts = [path.read_text() for folder in folders for path in folder.rglob("*") if path.suffix in (".md", ".py")]
    ends = [text[: at + 2_000][-2_000:] for text in texts for at in range(0, len(text), 500)]
    assert len(ends) > 2_000
    assert [end[-100:] for end in ends if repeats(end)] == []


@given(unit=st.text(min_size=1, max_size=UNIT_CHARS_MAX), before=st.text(max_size=300), more=st.integers(0, 12))
def test_whatever_says_something_and_stands_often_enough_is_a_loop(unit: str, before: str, more: int) -> None:
    times = max(REPEATS_MIN, -(-CHARS_MIN // len(unit))) + 1 + more
    says = any(c.isalnum() or c == "\ufffd" for c in unit)
    assert repeats(before + unit * times) or not says


@given(st.text(alphabet=" \n\t\r{}[]\",.:;-_|*#=…", max_size=3000))
def test_white_space_and_punctuation_never_loop(text: str) -> None:
    assert not repeats("The setlist of that night" + text)


def test_a_unit_beyond_the_bound_is_not_looked_for() -> None:
    def unit(size: int) -> str:
        return "".join(chr(0x4E00 + i) for i in range(size))

    assert repeats(unit(UNIT_CHARS_MAX) * (REPEATS_MIN + 1))
    assert not repeats(unit(UNIT_CHARS_MAX + 1) * (REPEATS_MIN + 1))


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


def test_of_a_long_stream_only_the_end_is_kept() -> None:
    spoken = Spoken()
    for i in range(20_000):
        spoken.read(event(f" word{i}"))
    assert not spoken.repeats()
    for _ in range(20_000):
        spoken.read(event(" \u2014and"))
    assert spoken.repeats()
    held = sum(map(len, spoken._pieces))
    assert TAIL_CHARS <= held < 6 * TAIL_CHARS + 100 < 2 * PENDING_BYTES_MAX


def test_answers_after_reasoning_are_a_text_of_their_own() -> None:
    spoken = Spoken()
    thought = event("hmm ").replace(b"content", b"reasoning")
    for _ in range(30):
        spoken.read(thought)
    assert spoken.repeats()
    spoken.read(event("Ripple, of course."))
    assert not spoken.repeats()
