"""What the proof of runbooks takes for an answer: by exit codes that the page states, and by what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.runbooks.page import PageStep, read_page
from benchmarks.runbooks.proving import fault
from benchmarks.runbooks.shell import Ran
from ops.alerting.answers import CODES

RUNBOOKS = Path(__file__).resolve().parents[2] / "runbooks"
ASK = "promtool query instant $PROMETHEUS"
VALUES = {"TIER": "production", "PROMETHEUS": "http://127.0.0.1:1", "RUN_DIR": "/run"}
STATUS_TABLE = "part      health\ngateway   gone\n"


def told(
    command: str, said: str, code: int = 0, *, codes: tuple[int, ...] = (), silent: bool = False, verifies: bool = False
) -> str | None:
    step = PageStep("It waits for nothing.", (command,), (), frozenset(codes), silent)
    return fault(step, Ran(command, code, said, said, 0.1), VALUES, verifies=verifies)


def test_a_step_whose_text_or_output_says_nothing_may_not_be_silent_nor_exit_with_3() -> None:
    assert told(f"{ASK} 'pg_up'", "\n") == "it shows nothing"
    assert told("ops probe", "probe asked wrong\nthere is nothing to tell", 3) == "exit 3"
    assert told("ops stack status", STATUS_TABLE, 1) == "exit 1"


def test_only_a_code_that_the_page_states_is_an_answer_and_it_must_show_something_too() -> None:
    assert told("ops stack status", STATUS_TABLE, 1, codes=(1,)) is None
    assert told("ops stack status", "", 1, codes=(1,)) == "it shows nothing"
    assert told("ops stack status", "no stack runs here\n", 1, codes=(1,)) == "it does not show part, health"
    assert told("ops stack status", STATUS_TABLE, 4, codes=(1,)) == "exit 4"


def test_that_no_worker_answers_is_an_answer_and_that_nothing_has_been_released_is_none() -> None:
    gone, new = "no worker tells where requests go\n", "no worker holds a table: nothing has been\n"
    assert told("ops route show", gone, 1, codes=(1,)) is None
    assert told("ops route show", gone, 0, codes=(1,)) == "it does not show weight, epoch"
    assert told("ops route show", new, 1, codes=(1,)) == "it does not show weight, epoch"


def test_a_verification_may_say_that_too_little_was_seen_but_not_that_it_is_not_well() -> None:
    table = "probe asked wrong\nchat 5 0\n"
    assert told("ops probe --count 5", table, 3, codes=(1, 3), verifies=True) is None
    assert told("ops probe --count 5", table, 1, codes=(1, 3), verifies=True) == "exit 1"
    assert told("ops probe --count 5", table, 3, verifies=True) == "exit 3"


def test_a_query_without_an_answer_passes_only_where_the_page_says_what_that_means() -> None:
    assert told(f"{ASK} 'pg_up'", "\n", silent=True) is None
    assert told("ops canary history --tier $TIER", "\n", silent=True) == "it shows nothing"
    assert told(f"{ASK} 'pg_up'", "\n", 1, silent=True) == "exit 1"


@pytest.mark.parametrize(
    ("query", "said", "lacks"),
    [
        ("'pg_up'", 'pg_up{instance="a"} => 1 @[1.5]\n', None),
        ("'pg_up'", 'node_load1{instance="a"} => 1 @[1.5]\n', "it does not show pg_up"),
        ("\"x_total{tier='$TIER'}\"", 'x_total{tier="production"} => 1 @[1.5]\n', None),
        ("'sum by (arm, event) (x)'", '{arm="stable", event="failed"} => 2 @[1]\n', None),
        ("'sum by (arm, event) (x)'", '{arm="stable"} => 2 @[1]\n', "it does not show event="),
        ("'sum(x)'", "{} => 0 @[1]\n", None),
        ("'sum(x)'", "{} => NaN @[1]\n", "it does not show a number"),
        ("'sum(x)'", "query error: nothing was found\n", "it does not show a number"),
    ],
)
def test_a_query_answers_with_a_number_of_what_it_asked_for(query: str, said: str, lacks: str | None) -> None:
    assert told(f"{ASK} {query}", said) == lacks


def test_a_command_for_a_tier_answers_of_that_tier() -> None:
    assert told("ops canary history --tier $TIER", "state\nproduction PROMOTED\n") is None
    assert told("ops canary history --tier $TIER", "state\nedge PROMOTED\n") == "it does not show production"


def test_the_rule_must_be_silent_when_it_is_over() -> None:
    resolved = f"""{ASK} 'ALERTS{{alertname="A",alertstate="firing"}}'"""
    assert told(resolved, "\n", verifies=True) is None
    assert told(resolved, 'ALERTS{alertname="A"} => 1 @[1]\n', verifies=True) == "still true"
    assert told(resolved, "", 1, verifies=True) == "exit 1"


def test_every_command_with_codes_of_its_own_stands_on_a_page() -> None:
    pages = [read_page(path) for path in RUNBOOKS.glob("*.md") if path.stem != "README"]
    steps = [step for page in pages for step in (*page.diagnosis, *page.verification)]
    for begin, codes in CODES.items():
        with_it = [step for step in steps if any(command.startswith(begin) for command in step.commands)]
        assert with_it, begin
        assert all(set(codes) <= step.codes for step in with_it), begin


def test_a_page_states_which_codes_and_which_silence_are_answers() -> None:
    page = read_page(RUNBOOKS / "ControllerNoLeader.md")
    status, log, database, *_ = page.diagnosis
    assert (status.codes, status.silent) == (frozenset({1}), False)
    assert (log.codes, log.silent) == (frozenset(), False)
    assert (database.codes, database.silent) == (frozenset(), True)
