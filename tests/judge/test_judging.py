"""One look: which of the four decisions follows from what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec.structs import replace as with_fields

from ops.judge.counting import Cells, Counts, Difference
from ops.judge.judging import look
from ops.judge.model import Decision, EventEvidence, JudgeState, Look, Situation
from ops.rollout.plan import AnalysisPlan, Role, RolloutPlan
from ops.verdict import Outcome
from serving.contract import GRADED, Arm, BadEvent, Levels

CELL = "query/p0o0"
LEVELS = (200, 100, 60, 32, 8)
"""How 400 requests of a healthy arm spread, cut at its own quantiles."""
SLOWER = (70, 100, 120, 80, 30)
"""Of one about 1.5 times as slow."""
TIMES = (BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS)
GOOD = Counts(400, 400, 400, {}, dict.fromkeys(TIMES, LEVELS))
"""What a healthy arm shows of 400 requests, all streamed: enough to be promoted on."""
SPREAD = 3.0
"""The steepness of the cuts below: values a quarter of which are past 1.44 times the median."""
QUANTILES = (0.5, 0.75, 0.9, 0.98)
CUTS: Levels = {event: tuple((q / (1 - q)) ** (1 / SPREAD) for q in QUANTILES) for event in GRADED}
STRATA = ("p0o0", "p1o0", "p2o0")

Judged = Callable[..., Look]


@pytest.fixture
def analysis(plan: RolloutPlan) -> AnalysisPlan:
    return replace(plan.analysis, level_quantiles=QUANTILES)


def beside(
    reference: Arm | None = Arm.BASELINE,
    *,
    seconds: float = 100.0,
    step: int = 0,
    epoch: int = 1,
    canary_replicas: int = 1,
    reference_replicas: int = 1,
) -> Situation:
    levels = {"query": dict.fromkeys(STRATA, CUTS)}
    return Situation(step, epoch, reference, canary_replicas, reference_replicas, seconds, 60.0, levels)


def counts(canary: Counts, reference: Counts | None = None, arm: Arm = Arm.BASELINE, cell: str = CELL) -> Cells:
    cells: Cells = {(cell, Arm.CANARY): canary}
    if reference is not None:
        cells[cell, arm] = reference
    return cells


def judged(analysis: AnalysisPlan, cells: Cells, now: Situation | None = None, *blind: str) -> Look:
    return look(JudgeState(), Difference({} if blind else cells, {}, blind), now or beside(), analysis)[1]


def shown(answer: Look, event: BadEvent) -> EventEvidence:
    return next(item for item in answer.events if item.event is event)


def with_bad(counted: Counts, **bad: int) -> Counts:
    return with_fields(counted, bad={**counted.bad, **{BadEvent(name): count for name, count in bad.items()}})


def with_levels(counted: Counts, levels: tuple[int, ...], *events: BadEvent) -> Counts:
    return with_fields(counted, levels={**counted.levels, **dict.fromkeys(events, levels)})


def times(counted: Counts, factor: float) -> Counts:
    """The same arm with so many times the requests."""

    def scaled(count: int) -> int:
        return round(count * factor)

    levels = {event: tuple(map(scaled, found)) for event, found in counted.levels.items()}
    whole = sum(levels[BadEvent.SLOW])
    return Counts(whole, whole, whole, {event: scaled(n) for event, n in counted.bad.items()}, levels)


def test_alike_and_enough_of_it_advances(analysis: AnalysisPlan) -> None:
    answer = judged(analysis, counts(GOOD, GOOD))
    assert (answer.decision, answer.verdict.outcome) == (Decision.ADVANCE, Outcome.PASS)


def test_alike_but_too_early_holds(analysis: AnalysisPlan) -> None:
    answer = judged(analysis, counts(GOOD, GOOD), beside(seconds=59.0))
    assert (answer.decision, answer.verdict.outcome) == (Decision.HOLD, Outcome.INCONCLUSIVE)


def test_alike_but_too_few_requests_holds(analysis: AnalysisPlan) -> None:
    few = replace(analysis, requests_per_step_min=401)
    assert judged(few, counts(GOOD, GOOD)).decision is Decision.HOLD


def test_a_little_data_holds(analysis: AnalysisPlan) -> None:
    few = times(GOOD, 0.15)
    assert judged(analysis, counts(few, few)).decision is Decision.HOLD


@pytest.mark.parametrize("event", TIMES)
def test_each_time_alone_rolls_back(analysis: AnalysisPlan, event: BadEvent) -> None:
    answer = judged(analysis, counts(with_levels(GOOD, SLOWER, event), GOOD))
    assert (answer.decision, answer.verdict.outcome) == (Decision.ROLL_BACK, Outcome.FAIL)
    assert [item.values["event"] for item in answer.verdict.evidence] == [event.value]


@pytest.mark.parametrize(
    ("event", "canary", "reference"),
    [
        (BadEvent.FAILED, 40, 2),
        (BadEvent.UNANSWERED, 40, 2),
        (BadEvent.CUT, 40, 2),
        (BadEvent.EMPTY, 60, 0),
        (BadEvent.REPEATED, 60, 0),
        (BadEvent.REFUSED, 60, 0),
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
    assert shown(answer, event).role is Role.WATCHED
    assert shown(answer, event).e_worse > shown(answer, event).e_worse_needed


def test_an_event_that_is_off_is_not_weighed(analysis: AnalysisPlan) -> None:
    off = tuple(replace(e, role=Role.OFF) if e.event is BadEvent.SLOW else e for e in analysis.events)
    answer = judged(replace(analysis, events=off), counts(with_levels(GOOD, SLOWER, BadEvent.SLOW), GOOD))
    assert answer.decision is Decision.ADVANCE
    assert BadEvent.SLOW not in [item.event for item in answer.events]


def test_the_same_fault_on_both_arms_does_not_roll_back(analysis: AnalysisPlan) -> None:
    slow = with_levels(GOOD, SLOWER, *TIMES)
    assert judged(analysis, counts(slow, slow)).decision is Decision.ADVANCE


# --- Margins, levels and groups -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("margin", "decision"), [(1.02, Decision.ROLL_BACK), (2.0, Decision.ADVANCE)])
def test_the_margin_says_how_many_times_as_slow_is_no_worse(
    analysis: AnalysisPlan, margin: float, decision: Decision
) -> None:
    # Some 1.3 times as slow, in plenty of requests; promotion is not asked for much.
    slower = with_levels(times(GOOD, 8), (960, 820, 700, 550, 170), *TIMES)
    events = tuple(replace(e, margin=margin, harm=3.0) if e.event in TIMES else e for e in analysis.events)
    assert judged(replace(analysis, events=events), counts(slower, times(GOOD, 8))).decision is decision


def test_a_heavier_tail_alone_is_found(analysis: AnalysisPlan) -> None:
    tail = with_levels(times(GOOD, 5), (950, 475, 285, 150, 140), BadEvent.SLOW)
    answer = judged(analysis, counts(tail, times(GOOD, 5)))
    assert answer.decision is Decision.ROLL_BACK
    assert shown(answer, BadEvent.SLOW).past_quantile == 0.98


def test_answers_that_grew_shorter_tell_as_much_as_answers_that_grew_longer(analysis: AnalysisPlan) -> None:
    events = tuple(
        replace(e, role=Role.CRITICAL if e.event is BadEvent.OUTPUT_LENGTH else e.role, margin=1.15)
        for e in analysis.events
    )
    critical, many = replace(analysis, events=events), times(GOOD, 2)
    usual = with_levels(many, (400, 200, 120, 64, 16), BadEvent.OUTPUT_LENGTH)
    for changed in ((790, 8, 2, 0, 0), (100, 150, 200, 200, 150)):
        answer = judged(critical, counts(with_levels(many, changed, BadEvent.OUTPUT_LENGTH), usual))
        assert answer.decision is Decision.ROLL_BACK
    assert judged(critical, counts(usual, usual)).decision is Decision.ADVANCE


def test_a_release_that_is_slow_for_one_length_of_prompt_alone_is_found_and_named(analysis: AnalysisPlan) -> None:
    long, short, few = "query/p2o0", times(GOOD, 20), times(GOOD, 0.6)
    slower = with_levels(few, (30, 50, 70, 60, 30), BadEvent.SLOW)
    answer = judged(analysis, counts(short, short) | counts(slower, few, cell=long))
    assert answer.decision is Decision.ROLL_BACK
    assert shown(answer, BadEvent.SLOW).group == "p2"
    assert "(prompts p2)" in answer.verdict.evidence[0].text
    assert shown(answer, BadEvent.SLOW).total < short.assigned


def test_a_fault_in_all_requests_is_told_of_all(analysis: AnalysisPlan) -> None:
    slower = with_levels(GOOD, SLOWER, BadEvent.SLOW)
    cells = [counts(slower, GOOD, cell=f"query/{stratum}") for stratum in STRATA]
    answer = judged(analysis, cells[0] | cells[1] | cells[2])
    assert answer.decision is Decision.ROLL_BACK
    assert shown(answer, BadEvent.SLOW).group == ""


def test_more_groups_make_the_evidence_of_one_weigh_less(analysis: AnalysisPlan) -> None:
    cells = counts(with_levels(GOOD, SLOWER, BadEvent.SLOW), GOOD)
    few, many = (
        shown(judged(replace(analysis, prompt_groups=groups), cells), BadEvent.SLOW).e_worse for groups in (1, 30)
    )
    assert few > many > few / 2


def test_what_speaks_against_it_from_several_sides_adds_up(analysis: AnalysisPlan) -> None:
    # Each a little too often for chance, none often enough to decide alone.
    part = with_bad(times(GOOD, 4), failed=14, cut=14, empty=14, invalid=14, refused=14)
    alike = with_bad(times(GOOD, 4), failed=1, cut=1, empty=1, invalid=1, refused=1)
    for scale in range(1, 40):
        bad = {event: count * scale // 6 for event, count in part.bad.items()}
        answer = judged(analysis, counts(with_fields(part, bad=bad), alike))
        if answer.decision is Decision.ROLL_BACK:
            break
    assert answer.decision is Decision.ROLL_BACK
    critical = [item for item in answer.events if item.role is Role.CRITICAL]
    assert all(item.e_worse < item.e_worse_needed for item in critical)
    assert answer.e_together == pytest.approx(sum(item.e_worse for item in critical))
    assert answer.e_together >= critical[0].e_worse_needed
    assert answer.verdict.evidence[0].text.startswith("all critical events together speak against it")


def test_one_budget_is_shared_over_the_critical_events(analysis: AnalysisPlan) -> None:
    answer = judged(analysis, counts(GOOD, GOOD))
    critical = [item for item in answer.events if item.role is Role.CRITICAL]
    assert critical
    assert all(item.e_worse_needed == pytest.approx(len(critical) / 0.01) for item in critical)


def test_with_margins_of_one_the_sum_over_the_critical_events_of_a_canary_alike_is_their_number(
    analysis: AnalysisPlan,
) -> None:
    # Before anything is seen every e-value is 1: the sum starts at the number of events, the need is 100 times that.
    answer = judged(analysis, {})
    assert answer.e_together == pytest.approx(sum(1 for e in analysis.events if e.role is Role.CRITICAL))


# --- Errors against the budget alone ------------------------------------------------------------------------------


def test_a_canary_over_its_error_budget_is_rolled_back_where_the_reference_has_no_requests(
    analysis: AnalysisPlan,
) -> None:
    # A service with little traffic: nothing to compare with, and every third request fails.
    failing = Counts(60, 60, 0, {BadEvent.FAILED: 20})
    assert judged(analysis, counts(failing)).decision is Decision.ROLL_BACK


def test_a_canary_over_its_budget_is_not_rolled_back_for_what_the_reference_does_as_well(
    analysis: AnalysisPlan,
) -> None:
    # Rolling back would save nobody: stable is past its budget too.
    state, answers = JudgeState(), []
    failing = with_bad(times(GOOD, 0.05), failed=2)
    for second in range(200):
        state, answer = look(state, Difference(counts(failing, failing), {}, ()), beside(seconds=second), analysis)
        answers.append(answer.decision)
    assert Decision.ROLL_BACK not in answers
    assert state.canary_whole.bad[BadEvent.FAILED] == 400


# --- Blind --------------------------------------------------------------------------------------------------------


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


def test_an_outage_does_not_roll_back_on_what_was_known_before(analysis: AnalysisPlan) -> None:
    nearly = counts(with_levels(times(GOOD, 0.3), (15, 30, 40, 25, 10), BadEvent.SLOW), times(GOOD, 0.3))
    state, first = look(JudgeState(), Difference(nearly, {}, ()), beside(seconds=5), analysis)
    _, blind = look(state, Difference({}, {}, ("no counters",)), beside(seconds=10), analysis)
    assert (first.decision, blind.decision) == (Decision.ROLL_BACK, Decision.BLIND)


def test_what_a_blind_look_was_shown_is_not_used(analysis: AnalysisPlan) -> None:
    dead = counts(Counts(400, 0, 400, {}, {BadEvent.SLOW: (0, 0, 0, 0, 400)}), GOOD)
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
    assert judged(analysis, {(CELL, Arm.BASELINE): times(GOOD, 250)}).decision is Decision.HOLD


def test_a_reference_without_requests_never_advances(analysis: AnalysisPlan) -> None:
    assert judged(analysis, counts(GOOD)).decision is Decision.HOLD


def test_a_dead_canary_is_bad_and_not_missing(analysis: AnalysisPlan) -> None:
    # Assigned and never answered: nothing has finished or failed yet, only the last cut has passed.
    dead = Counts(60, 0, 0, {}, {BadEvent.SLOW: (0, 0, 0, 0, 55)})
    healthy = Counts(60, 59, 0, {}, {BadEvent.SLOW: (30, 15, 9, 4, 1)})
    assert judged(analysis, counts(dead, healthy)).decision is Decision.ROLL_BACK


def test_a_canary_that_answers_nothing_but_errors_at_once_is_rolled_back_without_a_reference(
    analysis: AnalysisPlan,
) -> None:
    failing = Counts(60, 60, 0, {BadEvent.FAILED: 30})
    assert judged(analysis, counts(failing), beside(None, step=2)).decision is Decision.ROLL_BACK


def test_unlike_load_blinds_latency_and_never_advances(analysis: AnalysisPlan) -> None:
    slow = with_levels(GOOD, SLOWER, *TIMES)
    answer = judged(analysis, counts(slow, times(GOOD, 0.5)))
    assert answer.decision is Decision.BLIND
    assert "2.0 times apart" in answer.verdict.evidence[0].text


def test_unlike_load_hides_no_errors(analysis: AnalysisPlan) -> None:
    answer = judged(analysis, counts(with_bad(GOOD, failed=60), times(GOOD, 0.5)))
    assert answer.decision is Decision.ROLL_BACK


def test_load_is_per_replica(analysis: AnalysisPlan) -> None:
    now = beside(Arm.BASELINE, canary_replicas=2, reference_replicas=1)
    assert judged(analysis, counts(GOOD, times(GOOD, 0.5)), now).decision is not Decision.BLIND


# --- What is harmless ---------------------------------------------------------------------------------------------


def test_a_canary_that_is_slow_while_the_reference_is_slow_too_is_not_called_harmless(analysis: AnalysisPlan) -> None:
    # Load has doubled: most of the reference's requests are past the median of before, and nearly all of the canary's.
    state, answers = JudgeState(), []
    canary, reference = (3, 5, 12, 20, 10), (12, 12, 14, 9, 3)
    for second in range(40):
        arms = [Counts(50, 50, 0, {}, {BadEvent.SLOW: levels}) for levels in (canary, reference)]
        state, answer = look(state, Difference(counts(*arms), {}, ()), beside(seconds=60 + second), analysis)
        answers.append(answer.decision)
    assert Decision.ADVANCE not in answers
    assert Decision.ROLL_BACK in answers


def test_evidence_for_it_is_not_enough_while_something_speaks_against_it(analysis: AnalysisPlan) -> None:
    # A somewhat heavier tail: "not 1.5 times as slow" is shown for sure, and still the case is open.
    tail = with_levels(times(GOOD, 5), (982, 491, 294, 118, 125), BadEvent.SLOW)
    answer = judged(analysis, counts(tail, times(GOOD, 5)))
    slow = shown(answer, BadEvent.SLOW)
    assert slow.e_harmless > slow.e_harmless_needed
    assert 2 <= slow.e_worse < slow.e_worse_needed
    assert answer.decision is Decision.HOLD


def test_an_event_that_no_request_could_show_is_not_waited_for(analysis: AnalysisPlan) -> None:
    unstreamed = Counts(400, 400, 0, {}, {BadEvent.SLOW: LEVELS})
    answer = judged(analysis, counts(unstreamed, unstreamed))
    assert answer.decision is Decision.ADVANCE
    assert not shown(answer, BadEvent.SLOW_FIRST_TOKEN).observable
    assert not shown(answer, BadEvent.SLOW_TOKENS).observable


def test_shares_are_of_what_was_streamed_where_only_streams_can_show_it(analysis: AnalysisPlan) -> None:
    # The canary got four times the streams, hence four times the first tokens on every level: no worse.
    canary = with_fields(GOOD, levels={BadEvent.SLOW: LEVELS, BadEvent.SLOW_FIRST_TOKEN: LEVELS})
    quarter = {BadEvent.SLOW: LEVELS, BadEvent.SLOW_FIRST_TOKEN: (50, 25, 15, 8, 2)}
    answer = judged(analysis, counts(canary, with_fields(GOOD, streamed=100, levels=quarter)))
    assert answer.decision is not Decision.ROLL_BACK
    assert shown(answer, BadEvent.SLOW_FIRST_TOKEN).e_worse < 1


def test_strata_are_not_mixed(analysis: AnalysisPlan) -> None:
    # Within each stratum alike; pooled, the canary with its many long prompts would look far slower.
    short, long = times(GOOD, 1), with_levels(GOOD, (20, 40, 80, 140, 120), *TIMES)
    cells = counts(times(short, 0.5), times(short, 2), cell="query/p0o0")
    cells |= counts(times(long, 2), times(long, 0.5), cell="query/p2o0")
    answer = judged(analysis, cells)
    assert answer.decision is Decision.ADVANCE
    slow = shown(answer, BadEvent.SLOW)
    assert slow.canary == pytest.approx(slow.expected)


def test_evidence_of_harm_runs_over_all_steps(analysis: AnalysisPlan) -> None:
    worse = with_levels(GOOD, (150, 100, 80, 53, 17), BadEvent.SLOW)
    state, answers = JudgeState(), []
    for step in range(40):
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
    assert state.compared == {}


def test_the_same_inputs_give_the_same_look(analysis: AnalysisPlan) -> None:
    found = Difference(counts(with_bad(GOOD, failed=60), GOOD), {}, ())
    assert look(JudgeState(), found, beside(), analysis) == look(JudgeState(), found, beside(), analysis)


# --- The last step: the canary serves alone -----------------------------------------------------------------------


def test_alone_a_canary_that_fails_nothing_advances_once_that_is_shown(analysis: AnalysisPlan) -> None:
    clean = Counts(400, 400, 0)
    assert judged(analysis, counts(clean), beside(None, step=2)).decision is Decision.ADVANCE


def test_alone_a_handful_of_good_answers_is_not_enough(analysis: AnalysisPlan) -> None:
    # Sixty good answers are no evidence that fewer than 3 % fail.
    assert judged(analysis, counts(Counts(60, 60, 0)), beside(None, step=2)).decision is Decision.HOLD


def test_alone_a_canary_just_below_its_budget_is_neither_promoted_nor_rolled_back(analysis: AnalysisPlan) -> None:
    failing = Counts(2000, 2000, 0, {BadEvent.EMPTY: 80})
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
