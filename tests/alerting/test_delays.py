"""How long an alert may take to fire and to end, by the windows of its own rule and of what that reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.alerting.delays import INTERVALS, SLACK_SECONDS, delay
from ops.alerting.model import Group
from ops.alerting.rules import families

SPEC = load_spec(Path(__file__).parents[2] / "gratefulgpt.yaml")
GROUPS = tuple(group for some in families(SPEC).values() for group in some)


def test_bounds_follow_from_the_rules_own_windows() -> None:
    rules, every = SPEC.alerting.objectives, SPEC.alerting.evaluation_seconds
    waits = INTERVALS * every + SLACK_SECONDS
    assert delay("ServiceOutage", GROUPS).fire_seconds == rules.outage.window_seconds + waits
    assert delay("HighErrorRate", GROUPS).fire_seconds == rules.errors.long_seconds + waits
    slow = max(row.long_seconds for row in rules.share if row.severity == "critical")
    assert delay("SlowAnswers", GROUPS).fire_seconds == slow + waits
    assert delay("SlowAnswers", GROUPS).resolve_seconds == slow + rules.keep_firing_seconds + waits
    assert delay("EngineDown", GROUPS).fire_seconds == SPEC.alerting.timing.down_seconds + waits
    with pytest.raises(KeyError):
        delay("Misspelt", GROUPS)


def test_a_recording_of_another_group_makes_an_alert_wait_for_its_interval_and_subqueries_count() -> None:
    lasting = next(one for one in GROUPS if any(rule.name == "SlowAnswersLasting" for rule in one.alerts))
    row = max(SPEC.alerting.objectives.share, key=lambda one: one.long_seconds)
    found = delay("SlowAnswersLasting", GROUPS).fire_seconds
    # Summed by a subquery from increments of the same group, which look back by as long as their own interval.
    assert found >= row.long_seconds + INTERVALS * lasting.interval_seconds
    apart = [Group("a", 7.0, lasting.recordings), replace(lasting, recordings=())]
    assert delay("SlowAnswersLasting", apart).fire_seconds >= row.long_seconds + 7.0
