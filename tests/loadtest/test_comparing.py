"""Whether one run is worse than another: chance alone is not, and what is worse is found."""

import io
from dataclasses import replace
from functools import cache
from math import inf

import msgspec
import pytest

from ops.loadtest.comparing import Interval, compare, recovered, wilson
from ops.loadtest.reporting_comparison import comparison_json, print_comparison
from ops.verdict import Outcome
from tests.loadtest.judged_runs import SPEC
from tests.loadtest.simulated_runs import simulated

BOUNDS = SPEC.load.comparing


@cache
def before():
    return simulated(1)


def _figures(comparison, outcome):
    return {(one.task_class, one.figure) for one in comparison.figures if one.verdict.outcome is outcome}


@pytest.mark.parametrize("seed", [2, 3])
def test_two_runs_of_one_service_differ_by_chance_alone(seed):
    comparison = compare(before(), simulated(seed), BOUNDS)
    assert comparison.verdict.outcome is Outcome.PASS
    assert len(comparison.figures) == 18


def test_a_slower_service_is_worse_and_the_other_way_round_it_is_not():
    slower = simulated(4, slower=1.4)
    comparison = compare(before(), slower, BOUNDS)
    assert comparison.verdict.outcome is Outcome.FAIL
    assert ("query", "p95 of latency") in _figures(comparison, Outcome.FAIL)
    assert ("all", "errors") in _figures(comparison, Outcome.PASS)
    assert compare(slower, before(), BOUNDS).verdict.outcome is Outcome.PASS


def test_failures_are_worse_though_those_that_answer_are_as_fast_as_before():
    comparison = compare(before(), simulated(5, failing=0.02), BOUNDS)
    assert ("all", "errors") in _figures(comparison, Outcome.FAIL)
    assert ("query", "p50 of latency") in _figures(comparison, Outcome.PASS)


def test_a_percentile_that_falls_on_failed_requests_is_beyond_every_answer():
    comparison = compare(before(), simulated(6, failing=0.2), BOUNDS)
    (p95,) = [one for one in comparison.figures if (one.task_class, one.figure) == ("query", "p95 of latency")]
    assert p95.after == inf
    assert p95.verdict.outcome is Outcome.FAIL
    encoded = msgspec.json.decode(msgspec.json.encode(comparison_json(before(), before(), comparison)))
    assert [one["after"] for one in encoded["figures"] if one["figure"] == "p95 of latency"] == [None] * 3


def test_where_requests_are_slow_together_the_interval_is_wider():
    alone = compare(before(), simulated(7), BOUNDS)
    together = compare(simulated(8, clumped=0.3), simulated(9, clumped=0.3), BOUNDS)
    widths = [one.figures[1].worse.high - one.figures[1].worse.low for one in (alone, together)]
    assert alone.figures[1].figure == "p50 of latency"
    assert widths[1] > 2 * widths[0]


def test_few_requests_tell_nothing():
    few = simulated(1, seconds=4)
    assert compare(few, simulated(2, seconds=4), BOUNDS).verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"suite": "stress"}, "the suites differ: smoke before, stress after"),
        ({"scale": 0.5}, "the scales differ: 1 before, 0.5 after"),
        ({"rates": ()}, "the load of smoke has changed"),
        ({"kinds": ()}, "the mix has changed"),
        ({"interrupted": "stopped by hand"}, "the run after ended early"),
        ({"judged": ()}, "the targets have changed"),
    ],
)
def test_what_was_another_load_is_not_compared(changes, words):
    other = msgspec.structs.replace(before(), **changes)
    comparison = compare(before(), other, BOUNDS)
    assert comparison.verdict.outcome is Outcome.INVALID
    assert any(words in one.text for one in comparison.verdict.evidence)


def test_an_invalid_run_is_compared_with_nothing():
    answer = msgspec.structs.replace(before().verdict, outcome=Outcome.INVALID)
    invalid = msgspec.structs.replace(before(), verdict=answer)
    comparison = compare(invalid, before(), BOUNDS)
    assert comparison.verdict.outcome is Outcome.INVALID
    assert "the run before is invalid itself" in comparison.verdict.evidence[0].text


def test_the_table_says_what_is_worse():
    slower = simulated(4, slower=1.4)
    out = io.StringIO()
    print_comparison(slower, compare(before(), slower, BOUNDS), out)
    lines = out.getvalue().splitlines()
    assert lines[0].rstrip() == "smoke: worse"
    row = next(line for line in lines if line.startswith(" query") and "p95 of latency" in line)
    assert row.split()[-1] == "fail"


def test_wilsons_interval_is_that_of_his_paper():
    # 10 of 100 at 95 %, both sides: Newcombe 1998, table I gives 0.0552 to 0.1744
    assert wilson(0.1, 100, 1.959964) == pytest.approx((0.0552, 0.1744), abs=1e-4)


def test_a_difference_of_shares_is_newcombes():
    # Newcombe 1998 (b), method 10 without correction: 56/70 and 48/80 differ by 0.2, between 0.0524 and 0.3339
    one, other = (Interval(share, *wilson(share, n, 1.959964)) for share, n in ((48 / 80, 80), (56 / 70, 70)))
    found = recovered(one, other)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_what_is_beyond_every_answer_in_both_runs_says_nothing():
    beyond = Interval(inf, 100, inf)
    assert recovered(beyond, beyond) == Interval(0.0, -inf, inf)
    assert recovered(Interval(100, 90, 110), replace(beyond, low=inf)).low == inf
