"""One number is changed in the spec: gateway, judge, rules, runbooks, dashboards and load verdicts all follow."""

from __future__ import annotations

from pathlib import PurePath
from typing import Protocol

import pytest

from ops.adapters.spec_file import parse_spec
from ops.alerting.files import files as alert_files
from ops.dashboarding.files import files as dashboard_files
from ops.loadtest.traffic import Maker, Wish
from ops.rollout.planning import rollout_plan
from ops.spec.compiling import compile_serving
from ops.spec.model import Spec

TASK, PATH = "history-query", "/api/v1/history/query"
SCHEMA = {"type": "object", "required": ["question"], "properties": {"question": {"type": "string"}}}
RULE, RULE_TEST = PurePath("alerts/rules/objectives.yml"), PurePath("alerts/tests/objectives.yml")
PAGE, OVERVIEW = PurePath("runbooks/HighErrorRate.md"), PurePath("dashboards/overview.json")


class Edited(Protocol):
    def __call__(self, *changes: tuple[str, str]) -> bytes: ...


@pytest.fixture
def faster(edited: Edited) -> Spec:
    """A query's p95 is 400 ms instead of 500."""
    return parse_spec(edited(("latency_p95_ms: 500", "latency_p95_ms: 400")), "f")


def test_a_latency_target_reaches_what_the_gateway_counts(faster: Spec) -> None:
    config = compile_serving(faster)
    assert config.classes["query"].target_seconds == 0.4
    assert 0.4 in config.latency_bounds_seconds


def test_a_latency_target_reaches_the_judge(faster: Spec) -> None:
    assert rollout_plan(faster, "production", "production").latency_targets["query"] == 0.4


def test_a_latency_target_reaches_the_load_verdict(faster: Spec) -> None:
    kind = Maker(faster, TASK, {PATH: SCHEMA}).kind(Wish(TASK, 10, 10, False, ""))
    assert (kind.task_class, kind.target_seconds) == ("query", 0.4)


def test_a_latency_target_reaches_the_dashboards_in_words_and_as_a_line(faster: Spec, reference: Spec) -> None:
    before, after = dashboard_files(reference)[OVERVIEW], dashboard_files(faster)[OVERVIEW]
    gone, come = (set(one.splitlines()) - set(other.splitlines()) for one, other in ((before, after), (after, before)))
    assert any("Target: 0.5 s" in line for line in gone)
    assert any("Target: 0.4 s" in line for line in come)
    assert after.count('"value": 0.4') > before.count('"value": 0.4')


def test_an_alert_threshold_reaches_rule_test_page_and_panel(edited: Edited, reference: Spec) -> None:
    stricter = parse_spec(edited(("error_rate_percent: { critical: 5 }", "error_rate_percent: { critical: 4 }")), "f")
    before, after = alert_files(reference), alert_files(stricter)
    for path in (RULE, PAGE):
        assert "> 0.05" in before[path]
        assert "> 0.04" in after[path]
        assert "> 0.05" not in _of(after[path])
    assert before[RULE_TEST] != after[RULE_TEST]
    assert dashboard_files(reference)[OVERVIEW] != dashboard_files(stricter)[OVERVIEW]


def _of(text: str) -> str:
    """The part about the alert."""
    return text.partition("HighErrorRate")[2].partition("alert: ErrorBudget")[0]


def test_an_error_target_reaches_burn_rates_and_the_judge(edited: Edited, reference: Spec) -> None:
    twice = ("availability_percent: 99.9", "availability_percent: 99.8"), ("percent_max: 0.1", "percent_max: 0.2")
    changed = parse_spec(edited(*twice), "f")
    assert alert_files(reference)[RULE] != alert_files(changed)[RULE]
    budgets = [
        {one.event: one.budget_rate for one in rollout_plan(spec, "production", "production").analysis.events}["failed"]
        for spec in (reference, changed)
    ]
    assert budgets[1] == pytest.approx(2 * budgets[0])
