"""One look: which of the four decisions follows from what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ops.judge.counting import Cells, Counts, Difference
from ops.judge.judging import look
from ops.judge.model import Decision, JudgeState, Look, Situation
from ops.rollout.plan import AnalysisPlan, Role, RolloutPlan
from ops.verdict import Outcome
from serving.contract import Arm, BadEvent

CELL = "query/p0o0"
GOOD = Counts(400, 400, 400, {BadEvent.SLOW: 40, BadEvent.SLOW_FIRST_TOKEN: 40})
"""What a healthy arm shows of 400 requests, all streamed: enough to be promoted on."""

Judged = Callable[..., Look]


@pytest.fixture
def analysis(plan: RolloutPlan) -> AnalysisPlan:
    return plan.analysis


def beside(reference: Arm | None = Arm.BASELINE, *, seconds: float = 100.0, step: int = 0, epoch: int = 1,
           canary_replicas: int = 1, reference_replicas: int = 1) -> Situation:
    return Situation(step, epoch, reference, canary_replicas, reference_replicas, seconds, step_seconds_min=60.0)


def counts(canary: Counts, reference: Counts | None = None, arm: Arm = Arm.BASELINE) -> Cells:
    cells: Cells = {(CELL, Arm.CANARY): canary}
    if reference is not None:
        cells[CELL, arm] = reference
    return cells


def judged(analysis: AnalysisPlan, cells: Cells, now: Situation | None = None, *blind: str) -> Look:
    return look(JudgeState(), Difference({} if blind else cells, {}, blind), now or beside(), analysis)[1]


def with_bad(counted: Counts, **bad: int) -> Counts:
    return replace(counted, bad={**counted.bad, **{BadEvent(name): count for name, count in bad.items()}})


def test_alike_and_enough_of_it_advances(analysis: AnalysisPlan) -> None:
    answer = judged(analysis, counts(GOOD, GOOD))
    assert (answer.decision, answer.verdict.outcome) == (Decision.ADVANCE, Outcome.PASS)


def test_alike_but_too_early_holds(analysis: AnalysisPlan) -> None:
    answer = judged(analysis, counts(GOOD, GOOD), beside(seconds=59.0))
    assert (answer.decision, answer.verdict.outcome) == (Decision.HOLD, Outcome.INCONCLUSIVE)


def test_alike_but_too_few_requests_holds(analysis: AnalysisPlan) -> None:
    # Evidence for promotion without the least number of requests: tolerated rates only, nothing streamed or slow.
    few = replace(analysis, requests_per_step_min=401)
    assert judged(few, counts(GOOD, GOOD)).decision is Decision.HOLD


def test_a_little_data_holds(analysis: AnalysisPlan) -> None:
    few = Counts(60, 60, 60, {BadEvent.SLOW: 6, BadEvent.SLOW_FIRST_TOKEN: 6})
    assert judged(analysis, counts(few, few)).decision is Decision.HOLD


@pytest.mark.parametrize(
    ("event", "canary", "reference"),
    [
        (BadEvent.SLOW, 200, 40),
        (BadEvent.SLOW_FIRST_TOKEN, 200, 40),
        (BadEvent.FAILED, 40, 2),
        (BadEvent.CUT, 40, 2),
        (BadEvent.EMPTY, 60, 0),
        (BadEvent.INVALID, 60, 0),
    ],
)
def test_each_critical_event_alone_rolls_back(
    analysis: AnalysisPlan, event: BadEvent, canary: int, reference: int
) -> None:
    worse, alike = with_bad(GOOD, **{event.value: canary}), with_bad(GOOD, **{event.value: reference})
    answer = judged(analysis, counts(worse, alike))
    assert (answer.decision, answer.verdict.outcome) == (Decision.ROLL_BACK, Outcome.FAIL)
    assert [item.values["event"] for item in answer.verdict.evidence] == [event.value]


@pytest.mark.parametrize("event", [BadEvent.TRUNCATED, BadEvent.OVER_TARGET, BadEvent.ABANDONED])
def test_watched_events_are_shown_and_decide_nothing(analysis: AnalysisPlan, event: BadEvent) -> None:
    answer = judged(analysis, counts(with_bad(GOOD, **{event.value: 300}), GOOD))
    assert answer.decision is Decision.ADVANCE
    shown = next(item for item in answer.events if item.event is event)
    assert shown.role is Role.WATCHED
    assert shown.e_worse > shown.e_worse_needed


def test_an_event_that_is_off_is_not_weighed(analysis: AnalysisPlan) -> None:
    off = tuple(replace(e, role=Role.OFF) if e.event is BadEvent.SLOW else e for e in analysis.events)
    answer = judged(replace(analysis, events=off), counts(with_bad(GOOD, slow=300), GOOD))
    assert answer.decision is Decision.ADVANCE
    assert BadEvent.SLOW not in [item.event for item in answer.events]


def test_the_same_fault_on_both_arms_does_not_roll_back(analysis: AnalysisPlan) -> None:
    slow = with_bad(GOOD, slow=300, slow_first_token=300)
    assert judged(analysis, counts(slow, slow)).decision is Decision.ADVANCE


def test_a_canary_over_its_error_budget_is_rolled_back_even_if_the_reference_fails_too(analysis: AnalysisPlan) -> None:
    failing = with_bad(GOOD, failed=80)
    assert judged(analysis, counts(failing, failing)).decision is Decision.ROLL_BACK


def test_blind_never_advances(analysis: AnalysisPlan) -> None:
    state, _ = look(JudgeState(), Difference(counts(GOOD, GOOD), {}, ()), beside(seconds=10), analysis)
    _, answer = look(state, Difference({}, {}, ("w1 gave no counters",)), beside(seconds=1000), analysis)
    assert (answer.decision, answer.verdict.outcome) == (Decision.BLIND, Outcome.INVALID)
    assert [item.text for item in answer.verdict.evidence] == ["w1 gave no counters"]


def test_a_telemetry_outage_alone_never_rolls_back_however_long(analysis: AnalysisPlan) -> None:
    state = JudgeState()
    for second in range(2000):
        state, answer = look(state, Difference({}, {}, ("no counters",)), beside(seconds=second), analysis)
        assert answer.decision is Decision.BLIND
    assert state.whole == {}


def test_what_a_blind_look_was_shown_is_not_used(analysis: AnalysisPlan) -> None:
    dead = counts(Counts(400, 0, 400, {BadEvent.SLOW: 400}), GOOD)
    state, answer = look(JudgeState(), Difference(dead, {}, ("stale",)), beside(), analysis)
    assert answer.decision is Decision.BLIND
    assert state.canary_whole == Counts()


def test_zero_traffic_never_advances(analysis: AnalysisPlan) -> None:
    for reference in (Arm.BASELINE, Arm.STABLE, None):
        state = JudgeState()
        for hour in range(50):
            state, answer = look(state, Difference({}, {}, ()), beside(reference, seconds=3600.0 * hour), analysis)
            assert answer.decision is Decision.HOLD


def test_a_canary_without_requests_never_advances_however_much_the_reference_gets(analysis: AnalysisPlan) -> None:
    assert judged(analysis, {(CELL, Arm.BASELINE): Counts(100_000, 100_000, 0)}).decision is Decision.HOLD


def test_a_reference_without_requests_never_advances(analysis: AnalysisPlan) -> None:
    assert judged(analysis, counts(GOOD)).decision is Decision.HOLD


def test_a_dead_canary_is_bad_and_not_missing(analysis: AnalysisPlan) -> None:
    # Assigned and never answered: nothing has finished or failed yet, only deadlines have passed.
    dead = Counts(60, 0, 0, {BadEvent.SLOW: 55})
    healthy = Counts(60, 59, 0, {BadEvent.SLOW: 6})
    assert judged(analysis, counts(dead, healthy)).decision is Decision.ROLL_BACK


def test_a_canary_that_answers_nothing_but_errors_at_once_is_rolled_back_without_a_reference(
    analysis: AnalysisPlan,
) -> None:
    failing = Counts(60, 60, 0, {BadEvent.FAILED: 30})
    assert judged(analysis, counts(failing), beside(None, step=2)).decision is Decision.ROLL_BACK


def test_unlike_load_blinds_latency_and_never_advances(analysis: AnalysisPlan) -> None:
    slow, half = with_bad(GOOD, slow=250), Counts(200, 200, 200, {BadEvent.SLOW: 20, BadEvent.SLOW_FIRST_TOKEN: 20})
    answer = judged(analysis, counts(slow, half))
    assert answer.decision is Decision.BLIND
    assert "2.0 times apart" in answer.verdict.evidence[0].text


def test_unlike_load_hides_no_errors(analysis: AnalysisPlan) -> None:
    half = Counts(200, 200, 200, {BadEvent.SLOW: 20})
    answer = judged(analysis, counts(with_bad(GOOD, failed=60), half))
    assert answer.decision is Decision.ROLL_BACK


def test_load_is_per_replica(analysis: AnalysisPlan) -> None:
    half = Counts(200, 200, 200, {BadEvent.SLOW: 20, BadEvent.SLOW_FIRST_TOKEN: 20})
    now = beside(Arm.BASELINE, canary_replicas=2, reference_replicas=1)
    assert judged(analysis, counts(GOOD, half), now).decision is not Decision.BLIND


def test_a_canary_that_is_slow_while_the_reference_is_slow_too_is_not_called_harmless(analysis: AnalysisPlan) -> None:
    # Load has doubled: 64 % of the reference's requests are past the threshold, and 90 % of the canary's.
    state, answers = JudgeState(), []
    for second in range(40):
        found = counts(Counts(50, 50, 0, {BadEvent.SLOW: 45}), Counts(50, 50, 0, {BadEvent.SLOW: 32}))
        state, answer = look(state, Difference(found, {}, ()), beside(seconds=60 + second), analysis)
        answers.append(answer.decision)
    assert Decision.ADVANCE not in answers
    assert Decision.ROLL_BACK in answers


def test_an_event_that_no_request_could_show_is_not_waited_for(analysis: AnalysisPlan) -> None:
    unstreamed = Counts(400, 400, 0, {BadEvent.SLOW: 40})
    assert judged(analysis, counts(unstreamed, unstreamed)).decision is Decision.ADVANCE


def test_shares_are_of_what_was_streamed_where_only_streams_can_show_it(analysis: AnalysisPlan) -> None:
    # The canary got four times the streams, hence four times the slow ones: no worse.
    canary = Counts(400, 400, 400, {BadEvent.SLOW: 40, BadEvent.SLOW_FIRST_TOKEN: 200})
    reference = Counts(400, 400, 100, {BadEvent.SLOW: 40, BadEvent.SLOW_FIRST_TOKEN: 50})
    assert judged(analysis, counts(canary, reference)).decision is not Decision.ROLL_BACK


def test_strata_are_not_mixed(analysis: AnalysisPlan) -> None:
    # Within each stratum alike; pooled, the canary with its many long prompts would look three times as slow.
    short, long = "query/p0o0", "query/p2o0"
    cells: Cells = {
        (short, Arm.CANARY): Counts(200, 200, 0, {BadEvent.SLOW: 10}),
        (short, Arm.BASELINE): Counts(800, 800, 0, {BadEvent.SLOW: 40}),
        (long, Arm.CANARY): Counts(800, 800, 0, {BadEvent.SLOW: 400}),
        (long, Arm.BASELINE): Counts(200, 200, 0, {BadEvent.SLOW: 100}),
    }
    answer = judged(analysis, cells)
    assert answer.decision is Decision.ADVANCE
    slow = next(item for item in answer.events if item.event is BadEvent.SLOW)
    assert slow.canary == pytest.approx(slow.expected)


def test_evidence_of_harm_runs_over_all_steps(analysis: AnalysisPlan) -> None:
    worse = with_bad(GOOD, slow=90)
    state, answers = JudgeState(), []
    for step in range(6):
        now = beside(step=step, epoch=step)
        state, answer = look(state, Difference(counts(worse, GOOD), {}, ()), now, analysis)
        answers.append(answer.decision)
    assert answers[0] is not Decision.ROLL_BACK
    assert Decision.ROLL_BACK in answers


def test_evidence_for_promotion_begins_anew_at_each_step(analysis: AnalysisPlan) -> None:
    state, first = look(JudgeState(), Difference(counts(GOOD, GOOD), {}, ()), beside(), analysis)
    assert first.decision is Decision.ADVANCE
    state, second = look(state, Difference({}, {}, ()), beside(step=1, epoch=2), analysis)
    assert second.decision is Decision.HOLD
    assert state.canary_step == Counts()


def test_a_new_epoch_within_a_step_keeps_its_evidence_and_begins_new_shares(analysis: AnalysisPlan) -> None:
    state, _ = look(JudgeState(), Difference(counts(GOOD, GOOD), {}, ()), beside(seconds=1), analysis)
    state, answer = look(state, Difference({}, {}, ()), beside(epoch=2), analysis)
    assert answer.decision is Decision.ADVANCE
    assert state.shares == {}


def test_the_same_inputs_give_the_same_look(analysis: AnalysisPlan) -> None:
    found = Difference(counts(with_bad(GOOD, slow=60), GOOD), {}, ())
    assert look(JudgeState(), found, beside(), analysis) == look(JudgeState(), found, beside(), analysis)


def test_the_words_hold_the_numbers(analysis: AnalysisPlan) -> None:
    answer = judged(analysis, counts(with_bad(GOOD, failed=60), GOOD))
    (item,) = answer.verdict.evidence
    assert "of 60 'failed' events 60 fell on the canary, 30 expected if it were no worse" in item.text
    assert item.values["canary"] == 60


# --- The last step: the canary serves alone -----------------------------------------------------------------------


def test_alone_a_canary_that_fails_nothing_advances_once_that_is_shown(analysis: AnalysisPlan) -> None:
    clean = Counts(400, 400, 0)
    assert judged(analysis, counts(clean), beside(None, step=2)).decision is Decision.ADVANCE


def test_alone_a_handful_of_good_answers_is_not_enough(analysis: AnalysisPlan) -> None:
    # Sixty good answers are no evidence that fewer than 3 % fail.
    assert judged(analysis, counts(Counts(60, 60, 0)), beside(None, step=2)).decision is Decision.HOLD


def test_alone_a_canary_just_below_its_budget_is_neither_promoted_nor_rolled_back(analysis: AnalysisPlan) -> None:
    failing = Counts(2000, 2000, 0, {BadEvent.FAILED: 80})
    assert judged(analysis, counts(failing), beside(None, step=2)).decision is Decision.HOLD


def test_alone_a_canary_over_its_budget_is_rolled_back(analysis: AnalysisPlan) -> None:
    failing = Counts(400, 400, 0, {BadEvent.FAILED: 80})
    assert judged(analysis, counts(failing), beside(None, step=2)).decision is Decision.ROLL_BACK


def test_alone_requests_that_hang_are_not_taken_for_good_ones(analysis: AnalysisPlan) -> None:
    # A third never ends; their time-outs are still to come. What has finished looks spotless.
    hanging = Counts(400, 260, 0, {BadEvent.OVER_TARGET: 130})
    assert judged(analysis, counts(hanging), beside(None, step=2)).decision is Decision.HOLD


def test_alone_requests_that_are_under_way_within_their_target_hold_nothing_up(analysis: AnalysisPlan) -> None:
    under_way = Counts(400, 260, 0, {BadEvent.OVER_TARGET: 0})
    assert judged(analysis, counts(under_way), beside(None, step=2)).decision is Decision.ADVANCE
