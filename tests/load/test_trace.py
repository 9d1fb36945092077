"""A recorded traffic: both its formats, and each way in which a line can be broken, told with its number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.loadtest.suites import Scale, traced_rates
from ops.loadtest.trace import BrokenTrace, TraceError, read_trace, sound
from ops.loadtest.traffic import Wish

TASKS = ("chat", "complete")
GOOD = '{"at": 12.5, "task": "chat", "prompt_chars": 812, "output_tokens": 64, "session": "a1", "stream": true}'


def test_lines_of_json_and_csv_say_the_same() -> None:
    table = "task,at,prompt_chars,output_tokens,stream,session\nchat,12.5,812,64,true,a1\ncomplete,10,5,6,,\n"
    lines = GOOD + '\n\n{"at": 10, "task": "complete", "prompt_chars": 5, "output_tokens": 6}\n'
    for text in (table, lines):
        entries, broken = read_trace("t", text, TASKS)
        assert not broken
        assert [(entry.at, entry.wish) for entry in entries] == [
            (0, Wish("complete", 5, 6, False)),
            (2.5, Wish("chat", 812, 64, True, "a1")),
        ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        (GOOD.replace("chat", "chta"), "no task of the spec"),
        (GOOD.replace("12.5", "-1"), "at is no number of at least 0"),
        (GOOD.replace("12.5", "NaN"), "at is no number"),
        (GOOD.replace("812", "0"), "prompt_chars is no number of at least 1"),
        (GOOD.replace("64", '"many"'), "output_tokens is no number"),
        (GOOD.replace("true", '"maybe"'), "stream is neither true nor false"),
        (GOOD.replace('"session"', '"prompt"'), "unknown field 'prompt'"),
    ],
)
def test_a_broken_line_is_told_with_its_number_and_left_out_only_if_asked(line: str, why: str) -> None:
    entries, broken = read_trace("t.jsonl", f"{GOOD}\n{line}\n", TASKS)
    with pytest.raises(BrokenTrace, match=f"t.jsonl: 1 of 2 lines are broken .*\n  line 2: {why}"):
        sound("t.jsonl", entries, broken, skip_broken=False)
    assert len(sound("t.jsonl", entries, broken, skip_broken=True)) == 1


@pytest.mark.parametrize("text", ["", "\n\n", "at,task,prompt_chars,output_tokens\n"])
def test_a_trace_without_entries_is_none(text: str) -> None:
    with pytest.raises(TraceError):
        sound("t", *read_trace("t", text, TASKS), skip_broken=True)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "at,task,prompt_chars,output_tokens\n1,chat,2\n", '"unended\n'])
def test_what_is_no_csv_is_told_even_where_broken_lines_may_be_left_out(text: str) -> None:
    entries, broken = read_trace("t.csv", text, TASKS)
    assert not entries
    with pytest.raises(BrokenTrace):
        sound("t.csv", entries, broken, skip_broken=True)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        entries, broken = read_trace("t", text, TASKS)
    except TraceError:
        return
    assert len(entries) + len(broken) <= len(text.splitlines())
    assert entries or broken


@given(st.lists(st.floats(0, 100), min_size=1).map(sorted), st.floats(0.01, 10), st.floats(0.1, 10))
def test_rates_of_a_trace_have_all_its_requests_at_the_scale_asked_for(
    at: list[float], load: float, time: float
) -> None:
    rates = traced_rates(at, Scale(load, time))
    requests = sum(rate.seconds * (rate.start + rate.end) / 2 for rate in rates)
    assert requests == pytest.approx(len(at) * load * time)
