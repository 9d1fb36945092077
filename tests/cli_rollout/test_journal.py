"""The decision log's lines as people and machines get them, and the moments it is filtered by."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ops.cli.moments import parse_moment, utc
from ops.cli.output import CommandError
from ops.cli.rollout_journal import decision_json, print_lines, print_table
from ops.rollout.decided import Entry
from ops.store.decisions import Decision
from ops.store.rollouts import JournalLine, LookLine

AT = 1764075197.1234
PROMISED = {"release": "7b-2026-11", "digest": "d" * 64, "spec": "5" * 64, "judge": "1"}


@pytest.fixture
def by_the_judge(make_look: Callable[..., LookLine]) -> Decision:
    payload = {**PROMISED, "look": 7, "looks_digest": "c" * 64}
    entry = Entry("transition", "harmless", "advance", "analysing", "preparing", payload=payload)
    return Decision(JournalLine(12, AT, "production", "r1124-034416-ab12", entry), make_look())


@pytest.fixture
def by_hand() -> Decision:
    entry = Entry("transition", "a fair\nin town", "pause", "analysing", "paused", "jo", {**PROMISED})
    return Decision(JournalLine(13, AT + 60, "production", "r1124-034416-ab12", entry), None)


def test_a_line_of_the_judge_says_on_what_and_on_which_numbers(by_the_judge: Decision) -> None:
    said = decision_json(by_the_judge)
    assert (said["decided_by"], said["actor"], said["at"]) == ("judge", "controller", "2025-11-25T12:53:17.123Z")
    assert (said["release"], said["release_digest"]) == ("7b-2026-11", "d" * 64)
    assert (said["spec_digest"], said["judge_version"]) == ("5" * 64, "1")
    assert (said["look_number"], said["samples_digest"]) == (7, "c" * 64)
    look = said["look"]
    assert isinstance(look, dict)
    assert (look["number"], look["requests"]) == (7, {"canary": 1204, "reference": 1190})


def test_a_line_of_a_person_names_the_person_and_no_look(by_hand: Decision) -> None:
    said = decision_json(by_hand)
    assert (said["decided_by"], said["look_number"], said["look"]) == ("jo", None, None)


def test_json_lines_are_one_object_each_with_its_schema(
    by_the_judge: Decision, by_hand: Decision, capsys: pytest.CaptureFixture[str]
) -> None:
    print_lines([by_the_judge, by_hand])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["schema"] for line in lines] == ["gratefulgpt.decision/1"] * 2
    assert [line["seq"] for line in lines] == [12, 13]


def test_the_table_says_who_when_and_by_which_look(
    by_the_judge: Decision, by_hand: Decision, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table("r1", [by_the_judge, by_hand])
    shown = capsys.readouterr().out.splitlines()
    judge, hand = (next(line for line in shown if text in line) for text in ("harmless", "a fair in town"))
    assert judge.split()[:3] == ["2025-11-25T12:53:17.123Z", "judge", "7"]
    assert hand.split()[:2] == ["2025-11-25T12:54:17.123Z", "jo"]
    print_table(None, [by_the_judge])
    assert "r1124-034416-ab12" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2025-11-25", "2025-11-25T00:00:00.000Z"),
        ("2025-11-25T12:53", "2025-11-25T12:53:00.000Z"),
        ("2025-11-25T12:53Z", "2025-11-25T12:53:00.000Z"),
        ("2025-11-25T12:53+02:00", "2025-11-25T10:53:00.000Z"),
        ("90m", "2025-11-25T11:23:17.123Z"),
        ("2h", "2025-11-25T10:53:17.123Z"),
        ("7d", "2025-11-18T12:53:17.123Z"),
    ],
)
def test_a_moment_is_absolute_or_so_long_ago(text: str, at: str) -> None:
    assert utc(parse_moment(text, AT)) == at


@pytest.mark.parametrize("text", ["", "yesterday", "12:00", "2025-13-01", "5 weeks"])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(CommandError, match="2h, 7d for so long ago") as refused:
        parse_moment(text, AT)
    assert refused.value.exit_code == 2
