"""The generated rules, tests and pages: promtool takes them, and every alert has all of what an alert needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.alerting.model import Alert, Severity
from ops.alerting.rules import alerts
from ops.alerting.runbooks import commands
from ops.dashboarding.registry import panels

PROJECT = Path(__file__).resolve().parents[2]
SPEC = load_spec(PROJECT / "gratefulgpt.yaml")
ALERTS = alerts(SPEC)
TESTS = sorted((PROJECT / "alerts" / "tests").glob("*.yml"))

by_name = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def test_no_two_alerts_have_one_name() -> None:
    names = [alert.name for alert in ALERTS]
    assert sorted(set(names)) == sorted(names)


@by_name
def test_an_alert_has_cases_in_which_it_fires_and_resets_and_one_in_which_it_is_silent(alert: Alert) -> None:
    assert any(case.fires for case in alert.cases), "none fires"
    if alert.name in ALWAYS_FIRING:
        return
    assert any(not case.fires and case.silent for case in alert.cases), "none is silent"
    assert any(case.fires and max(case.silent, default=0) > max(case.fires) for case in alert.cases), "none resets"


ALWAYS_FIRING = {"Watchdog"}
"""An alert that never ends has no case for it."""


@by_name
def test_an_alert_has_a_category_of_its_severity_a_panel_and_a_page_with_commands(alert: Alert) -> None:
    categories = {Severity(severity): names for severity, names in SPEC.alerting.categories}
    assert alert.category in categories[alert.severity]
    assert (alert.panel.dashboard, alert.panel.key) in panels(SPEC)
    assert (PROJECT / "runbooks" / f"{alert.name}.md").is_file()
    assert alert.runbook.diagnosis
    assert alert.runbook.mitigation
    assert list(commands(alert))


@pytest.mark.server
def test_promtool_takes_every_rule_file() -> None:
    rules = sorted((PROJECT / "alerts" / "rules").glob("*.yml"))
    done = subprocess.run(["promtool", "check", "rules", *rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(rules) > 0


@pytest.mark.server
@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_every_rule_does_what_its_cases_say(file: Path) -> None:
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
