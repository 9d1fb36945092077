"""The judge's words hold its numbers, and name what stands out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as with_fields

from ops.judge.model import Decision, EventEvidence, Look, Situation
from ops.judge.wording import describe_event, describe_step, describe_together, number, summary
from ops.rollout.plan import Role, RolloutPlan
from ops.verdict import Outcome, Verdict
from serving.contract import GRADED, Arm, BadEvent

SLOW = EventEvidence(
    event=BadEvent.SLOW,
    role=Role.CRITICAL,
    canary=141,
    total=212,
    expected=106.2,
    e_worse=4310.4,
    e_worse_needed=1000.0,
    e_harmless=0.0123,
    e_harmless_needed=20.0,
    canary_rate=0.41,
    observable=True,
    past_quantile=0.75,
)
FAILED = with_fields(SLOW, event=BadEvent.FAILED, canary=3, total=5, expected=2.5, e_worse=1.4, past_quantile=None)


@pytest.mark.parametrize(
    ("value", "words"),
    [(1.0, "1"), (0.01234, "0.012"), (4310.4, "4,310"), (1e13, "over 1e12"), (float("inf"), "over 1e12")],
)
def test_an_e_value_is_told_with_the_digits_that_matter(value: float, words: str) -> None:
    assert number(value) == words


def test_a_graded_event_is_told_at_the_cut_that_tells_most() -> None:
    assert describe_event(SLOW).text == (
        "of 212 answers slower than the usual p75 141 fell on the canary, 106 expected if it were no worse; "
        "evidence against it e = 4,310 >= 1,000, for it e = 0.012 < 20"
    )
    assert describe_event(SLOW).values["past_quantile"] == 0.75


@pytest.mark.parametrize("event", sorted(GRADED))
def test_every_graded_event_has_words_of_its_own(event: BadEvent) -> None:
    text = describe_event(with_fields(SLOW, event=event)).text
    assert "than the usual p75" in text
    assert "'" not in text


def test_a_group_of_prompts_is_named() -> None:
    text = describe_event(with_fields(SLOW, group="p2")).text
    assert "answers slower than the usual p75 (prompts p2) 141 fell" in text
    assert "'failed' events (prompts p2)" in describe_event(with_fields(FAILED, group="p2")).text


def test_a_yes_no_event_is_told_by_its_name() -> None:
    evidence = describe_event(FAILED)
    assert evidence.text.startswith("of 5 'failed' events 3 fell on the canary, 2 expected if it were no worse")
    assert "past_quantile" not in evidence.values


def test_what_could_not_be_seen_is_said_to_be_unseen() -> None:
    unseen = with_fields(SLOW, event=BadEvent.SLOW_TOKENS, total=0, canary=0, observable=False)
    assert describe_event(unseen).text == "slow tokens: no request of this step could show it"


def test_nothing_beside_the_reference_tells_the_rate_alone() -> None:
    quiet = with_fields(FAILED, total=0, canary=0, canary_rate=0.025)
    text = describe_event(quiet).text
    assert text.startswith("no 'failed' event beside the reference; 2.5% of the canary's requests")


def test_evidence_is_kept_as_numbers_that_json_can_hold() -> None:
    far = describe_event(with_fields(SLOW, e_worse=float("inf"), e_harmless=1e300))
    assert far.values["e_worse"] == far.values["e_harmless"] == 1e12


def test_all_events_together_are_told_against_the_same_need() -> None:
    evidence = describe_together(1200.0, 1000.0)
    assert evidence.text == "all critical events together speak against it: e = 1,200 >= 1,000"
    assert evidence.values == {"e_together": 1200.0, "e_worse_needed": 1000.0}


def test_a_step_is_told_with_what_it_had_and_what_it_needs(plan: RolloutPlan) -> None:
    now = Situation(1, 2, Arm.STABLE, 1, 1, 42.0, 60.0)
    text = describe_step(now, 120, 130, plan.analysis).text
    assert text == "step 2: 120 requests to the canary (at least 50), 130 to stable, 42 s (at least 60)"
    alone = describe_step(replace(now, reference=None), 120, 0, plan.analysis).text
    assert ", alone, 42 s" in alone


def test_the_summary_of_an_advance_says_how_events_fell_and_what_was_quiet(plan: RolloutPlan) -> None:
    step = describe_step(Situation(0, 1, Arm.BASELINE, 1, 1, 70.0, 60.0), 0, 0, plan.analysis)
    quiet = with_fields(FAILED, event=BadEvent.EMPTY, total=0, canary=0)
    answer = Look(Decision.ADVANCE, Verdict(Outcome.PASS, (step,)), (SLOW, FAILED, quiet), 100, 100)
    words = summary(answer)
    assert "on the canary fell 141 of 212 answers slower than the usual p75 (106 expected)" in words
    assert ", 3 of 5 'failed' events (2 expected)" in words
    assert words.endswith("nothing empty beside the reference")


def test_the_summary_of_any_other_answer_is_its_evidence() -> None:
    verdict = Verdict(Outcome.FAIL, (describe_together(1200.0, 1000.0), describe_event(SLOW)))
    words = summary(Look(Decision.ROLL_BACK, verdict, (SLOW,), 100, 100))
    assert words == "; ".join(item.text for item in verdict.evidence)
