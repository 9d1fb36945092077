"""``ops alerts test``: promtool and amtool on the files as they lie, and no green where nothing was asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.cli.main import main

from .conftest import ROOT

FAMILY = "database.yml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The generated files with one small family's rules and tests alone: the others' windows are of hours and days."""
    shutil.copytree(ROOT / "alerts", tmp_path / "alerts")
    for folder in ("rules", "tests"):
        for path in (tmp_path / "alerts" / folder).iterdir():
            if path.name != FAMILY:
                path.unlink()
    return tmp_path


def _run(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["alerts", "test", "--spec", str(ROOT / "gratefulgpt.yaml"), "--root", str(root), "--json"])
    return code, json.loads(capsys.readouterr().out)


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_generated_files_pass_and_every_category_is_asked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = _run(root, capsys)
    assert (code, told["schema"], told["verdict"]["outcome"]) == (0, "gratefulgpt.alerts-test/1", "pass")
    texts = [one["text"] for one in told["verdict"]["evidence"]]
    assert "severity=critical category=service-downtime goes to critical" in texts
    assert "alertname=Watchdog severity=info goes to heartbeat" in texts


def test_a_rule_that_does_not_do_what_its_test_says_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _change(root / "alerts" / "rules" / FAMILY, "severity: critical", "severity: warning")
    code, told = _run(root, capsys)
    assert (code, told["verdict"]["outcome"]) == (1, "fail")


def test_a_route_that_leads_elsewhere_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _change(root / "alerts" / "alertmanager.yml", '- severity="warning"\n    group_by', '- severity="w"\n    group_by')
    code, told = _run(root, capsys)
    assert code == 1
    assert any("not so: severity=warning category=" in one["text"] for one in told["verdict"]["evidence"])


def test_an_invalid_configuration_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "alerts" / "alertmanager.yml").write_text("route: {receiver: nobody}\n", encoding="utf-8")
    code, told = _run(root, capsys)
    assert code == 1
    assert any("configuration is valid" in one["text"] for one in told["verdict"]["evidence"])


def test_an_alert_without_a_test_is_invalid(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "alerts" / "tests" / FAMILY
    content = yaml.safe_load(path.read_text("utf-8"))
    content["tests"] = [one for one in content["tests"] if not one["name"].startswith("DatabaseDown")]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    code, told = _run(root, capsys)
    assert (code, told["verdict"]["outcome"]) == (4, "invalid")
    assert told["verdict"]["evidence"][-1]["text"] == "no rule test has them fire: DatabaseDown"


def test_no_rules_at_all_are_invalid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = _run(tmp_path, capsys)
    assert (code, told["verdict"]["outcome"]) == (4, "invalid")


def test_a_program_that_is_missing_makes_the_verdict_invalid(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(root))
    code, told = _run(root, capsys)
    assert (code, told["verdict"]["outcome"]) == (4, "invalid")
    assert told["verdict"]["evidence"][-1]["text"] == "there is no promtool on the PATH: apt-get install prometheus"
