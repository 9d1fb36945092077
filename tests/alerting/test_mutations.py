"""The mutation check itself: what it changes, that it tells found from surviving, and a sample of every family.

All mutants: ``make mutations``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import promql_parser
import pytest

from benchmarks.mutations.checking import BrokenTest, check, jobs, passes, quick_first, unchanged
from benchmarks.mutations.equivalent import EQUIVALENT, reason
from benchmarks.mutations.mutants import expressions, mutants, neighbours, tokenise
from ops.adapters.spec_file import load_spec
from ops.alerting.rules import families

SPEC = load_spec(Path(__file__).resolve().parents[2] / "gratefulgpt.yaml")
FAMILIES = families(SPEC)
JOBS = list(jobs(FAMILIES))
SAMPLE = 17
"""One mutant of so many."""


def test_numbers_windows_matchers_and_grouping_labels_of_an_expression_are_changed_one_at_a_time() -> None:
    rule = 'sum by (tier) (increase(x_total{kind=~"a|b"}[5m] offset 1d)) > 0.5 and on (tier) y >= 5'
    found = [text for _, text in expressions(rule, {"x_total": frozenset({"tier", "job"})})]
    assert found == [
        rule.replace("(tier) (inc", "() (inc"),
        rule.replace("(tier) (inc", "(tier, job) (inc"),
        rule.replace('"a|b"', '"a|b-other"'),
        rule.replace('"a|b"', '"b"'),
        rule.replace('"a|b"', '"a"'),
        rule.replace('{kind=~"a|b"}', "{}"),
        rule.replace("5m", "10m"),
        rule.replace("5m", "2m"),
        rule.replace("1d", "2d"),
        rule.replace("1d", "12h"),
        rule.replace("0.5", "0.55"),
        rule.replace("0.5", "0.45"),
        rule.replace("on (tier)", "on ()"),
        rule.replace(">= 5", ">= 6"),
        rule.replace(">= 5", ">= 4"),
    ]


def test_a_window_becomes_the_next_longer_and_the_next_shorter_one() -> None:
    assert neighbours(300) == (600, 120)
    assert neighbours(45) == (60, 30)
    assert neighbours(15) == (30,)


def test_every_token_is_kept_and_every_mutant_is_promql_and_not_the_rule() -> None:
    for groups in FAMILIES.values():
        for text in (expression for group in groups for expression in group.expressions):
            assert "".join(token.text for token in tokenise(text)) == text
    for job in JOBS:
        promql_parser.parse(job.mutant.rule.expression)
    changed = [(job.name, job.mutant.what) for job in JOBS if job.mutant.rule in _rules()]
    assert changed == []


def test_what_an_alert_says_of_time_and_labels_is_changed_too() -> None:
    alert = next(a for group in FAMILIES["saturation"] for a in group.alerts if a.name == "EngineQueueDeep")
    what = {mutant.what.partition(" ->")[0] for mutant in mutants(alert, {})}
    assert {"for 300", f"keep_firing_for {alert.keep_firing_seconds:g}", "severity", "category", "a label more"} <= what


def test_reasons_for_equivalence_are_of_mutants_that_there_are() -> None:
    there = {(job.name, job.mutant.what) for job in JOBS}
    assert set(EQUIVALENT) <= there


@pytest.mark.server
def test_a_rule_without_cases_that_pin_it_is_told_as_surviving_and_broken_cases_are_told_as_broken() -> None:
    group = FAMILIES["saturation"][0]
    alert = next(one for one in group.alerts if one.name == "EngineQueueDeep")
    loose = replace(alert, cases=tuple(case for case in alert.cases if case.name == "within its bound"))
    loose_family = {"saturation": (replace(group, alerts=(loose,)),)}
    higher = next(job for job in jobs(loose_family) if job.mutant.what == "100 -> 110")
    assert not check(higher, SPEC).found
    wrong = replace(alert, expression=alert.expression.replace("> 100", "> 1000"))
    with pytest.raises(BrokenTest, match="saturation"):
        unchanged({"saturation": (replace(group, alerts=(wrong,)),)}, SPEC, frozenset())
    assert passes((replace(group, alerts=(alert,)),), (alert,), (), SPEC)


def test_the_quick_cases_come_first_and_none_is_left_out() -> None:
    every = tuple(alert for made in FAMILIES.values() for group in made for alert in group.alerts)
    quick, others = quick_first(every, SPEC)
    for alert, first, second in zip(every, quick, others, strict=True):
        assert first.cases
        assert sorted(map(repr, (*first.cases, *second.cases))) == sorted(map(repr, alert.cases))
    watchdog = tuple(alert for alert in every if len(alert.cases) == 1)
    assert list(quick_first(watchdog, SPEC)) == [watchdog], "nothing to run passes nothing"


@pytest.mark.server
@pytest.mark.parametrize("family", FAMILIES)
def test_promtool_finds_a_sample_of_each_familys_mutants(family: str) -> None:
    mine = [job for job in JOBS if job.family == family][::SAMPLE]
    checked = [check(job, SPEC) for job in mine]
    assert [one.title for one in checked if not one.found and reason(one) is None] == []
    assert any(one.found for one in checked)


def _rules() -> list[object]:
    return [rule for groups in FAMILIES.values() for group in groups for rule in (*group.recordings, *group.alerts)]


def test_the_makefile_has_the_whole_check() -> None:
    text = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^mutations:.*\n\t@\$\(BIN\)/python -m benchmarks\.mutations\b", text, re.MULTILINE)
