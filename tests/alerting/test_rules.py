"""The generated rules, tests and pages: promtool takes them, and every alert has all of what an alert needs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.alerting.model import Alert, Severity
from ops.alerting.rules import alerts
from ops.alerting.runbooks import commands
from ops.dashboarding.registry import panels

from .apart import taken_apart

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
def test_every_rule_does_what_its_cases_say(file: Path, tmp_path: Path) -> None:
    """``ops alerts test`` runs the files as they lie, and has a test of its own."""
    apart = list(taken_apart(file, tmp_path))
    asked = [one["name"] for part in apart for one in json.loads(part.read_text())["tests"]]
    assert len(asked) == file.read_text("utf-8").count("\n- name: ") > 0
    done = subprocess.run(["promtool", "test", "rules", *apart], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(apart)


RULES = """
groups:
- name: recordings
  rules: [{record: "a:sum", expr: sum(a)}, {record: "b:sum", expr: sum(b)}]
- name: alerts
  rules:
  - {alert: A, expr: "a:sum > 1"}
  - {alert: B, expr: 'b:sum > 1 or b:sum > 0 and on () ALERTS{alertname="B"}'}
  - {alert: Any, expr: "count(ALERTS) > 1"}
"""
FIRES = """
- name: {alert}
  input_series: [{{series: a, values: 2 2}}, {{series: b, values: 2 2}}]
  alert_rule_test: [{{alertname: {alert}, eval_time: 1m, exp_alerts: [{{exp_labels: {{}}}}]}}]
"""


@pytest.mark.server
def test_a_rule_stands_apart_with_what_it_reads_and_fails_as_among_the_others(tmp_path: Path) -> None:
    lying, folder = tmp_path / "tests.yml", tmp_path / "apart"
    folder.mkdir()
    named = "".join(FIRES.format(alert=name) for name in ("A", "B", "Any"))
    lying.write_text(f"rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:{named}", encoding="utf-8")
    (tmp_path / "rules.yml").write_text(RULES.replace("sum(b)", "sum(c)"), encoding="utf-8")
    whole, *parts = (
        subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
        for file in (lying, *taken_apart(lying, folder))
    )
    assert re.findall(r"alertname: (\w+),", whole.stderr) == ["B", "Any"], whole.stderr
    assert [part.returncode for part in parts] == [0, 1, 1]
    kept = [re.findall(r'"(?:alert|record)": "([^"]+)"', (folder / f"rules-{i}.yml").read_text()) for i in range(3)]
    assert kept == [["a:sum", "A"], ["b:sum", "B"], ["a:sum", "b:sum", "A", "B", "Any"]]
