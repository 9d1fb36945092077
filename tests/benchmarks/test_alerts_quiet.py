"""Quiet days of the alerts' benchmark: what is screened out could not have paged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.alerts import screening, traffic
from benchmarks.alerts.floors import with_floor, with_interval, with_objectives
from benchmarks.alerts.quieting import QuietTask, screened
from benchmarks.alerts.replaying import CONTENDERS, SPEC_FILE
from benchmarks.alerts.screening import Condition, RuleUnknown, conditions, near, stretches
from ops.adapters.spec_file import load_spec

SPEC = load_spec(SPEC_FILE)
SLOW = Condition("SlowAnswers", "latency", 25, 60, 8)


def _latency(requests: list[int], misses: list[int]) -> screening.Counts:
    return {"latency": (np.array(requests), np.array(misses))}


def test_each_alert_that_pages_for_objectives_is_screened_for() -> None:
    assert {one.alert for one in conditions(SPEC)} >= {"ServiceOutage", "ErrorBudgetBurnFast", "LowGoodput"}


def test_a_paging_rule_that_is_not_screened_for_is_refused() -> None:
    rows = tuple(row.model_copy(update={"severity": "critical"}) for row in SPEC.alerting.objectives.burn)
    with pytest.raises(RuleUnknown, match="ErrorBudgetBurnSlow"):
        conditions(with_objectives(SPEC, burn=rows))


def test_other_figures_are_those_of_what_pages_alone() -> None:
    rows = with_floor(SPEC, "share", 6).alerting.objectives.share
    before = SPEC.alerting.objectives.share
    assert [row.bad_events_min for row in rows] == [6, before[1].bad_events_min]
    assert [row.short_bad_events_min for row in rows] == [row.short_bad_events_min for row in before]
    routes = with_interval(SPEC, 900).alerting.routes
    assert [one.grouping.interval_seconds for one in routes if one.severity == "critical"] == [900]
    assert routes[1:] == SPEC.alerting.routes[1:]


def test_near_is_a_quarter_below_the_floor_and_the_bound_within_the_window() -> None:
    assert near(_latency([0, 6, 0, 0, 0, 0], [0, 6, 0, 0, 0, 0]), (SLOW,)).tolist() == [False, *[True] * 4, False]
    assert not near(_latency([0, 5, 0], [0, 5, 0]), (SLOW,)).any()
    assert near(_latency([31], [6]), (SLOW,)).all()
    assert not near(_latency([32], [6]), (SLOW,)).any()
    assert not near(_latency([6], [6]), (SLOW,), margin=1).any()


def test_runs_that_are_close_are_one_stretch() -> None:
    at = np.zeros(200, bool)
    at[[50, 51, 60, 120]] = True
    assert list(stretches(at, 10, 5, 20)) == [(40, 66), (110, 126)]
    assert list(stretches(np.zeros(5, bool), 1, 1, 1)) == []


def test_the_rate_of_misses_on_quiet_days_is_what_it_should_be_for_each_objective() -> None:
    made = traffic.quiet(np.random.default_rng(5), 60, 200_000)
    shares = {name: misses.sum() / requests.sum() for name, (requests, misses) in made.items()}
    assert shares["availability"] == pytest.approx(traffic.FAILED_SHARE, rel=0.05)
    assert shares["latency"] == pytest.approx(traffic.FAILED_SHARE + traffic.SLOW_SHARE, rel=0.02)
    assert set(shares) == {"availability", "latency", "first_token", "token_interval", "goodput"}


@pytest.mark.server
def test_the_rule_engine_pages_as_often_for_what_is_near_as_for_everything() -> None:
    task, jumpy = QuietTask("ours", 1, 1, seed=11), with_floor(with_floor(SPEC, "share", 3, 2), "goodput", 3, 2)
    part = screened(task, CONTENDERS["ours"], jumpy)
    whole = screened(task, CONTENDERS["ours"], jumpy, margin=0)
    assert whole.replayed_minutes >= 1440 > part.replayed_minutes > 0
    assert whole.pages > 0
    assert replace(part, replayed_minutes=0) == replace(whole, replayed_minutes=0)
