"""How runbooks are proven: pages are read as they stand, the spec is shortened, and what falls short is no pass."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.runbooks.incidents import INCIDENTS
from benchmarks.runbooks.page import read_page
from benchmarks.runbooks.proving import Incident, Proof
from benchmarks.runbooks.shortening import shortened
from benchmarks.runbooks.telling import judged, table
from ops.adapters.spec_file import load_spec, parse_spec
from ops.alerting.rules import alerts
from ops.alerting.runbooks import commands
from ops.verdict import Outcome

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "gratefulgpt.yaml"
ALERTS = {alert.name: alert for alert in alerts(load_spec(REFERENCE))}
IN_CI = ("TierOutage", "ServiceOutage", "EngineDown")
CI_SECONDS_MAX = 600.0
"""On two cores with a load of 20 it took six and a half minutes."""


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_is_read_back_with_every_command_of_its_alert(name: str) -> None:
    page = read_page(ROOT / "runbooks" / f"{name}.md")
    read = [
        command
        for step in (*page.diagnosis, *page.mitigation, *page.verification)
        for command in (*step.commands, *step.undo)
    ]
    assert read == list(commands(ALERTS[name]))
    assert page.setting == f'eval "$(ops alerts env {name})"'


def test_what_is_no_runbook_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\n## Diagnosis\n")
    with pytest.raises(ValueError, match="no runbook"):
        read_page(tmp_path / "a.md")


def test_each_incident_is_of_an_alert_whose_page_has_the_cure() -> None:
    assert len(INCIDENTS) >= 10
    assert len({one.alert for one in INCIDENTS}) == len(INCIDENTS)
    for one in INCIDENTS:
        page = read_page(ROOT / "runbooks" / f"{one.alert}.md")
        assert any(one.cure in command for step in page.mitigation for command in step.commands), one.alert


def test_the_shortened_spec_differs_in_times_and_receivers_of_alerting_alone() -> None:
    text = shortened(REFERENCE, "http://127.0.0.1:1/", 15)
    parse_spec(text.encode(), "shortened")
    before, after = yaml.safe_load(REFERENCE.read_text()), yaml.safe_load(text)
    old, new = before.pop("alerting"), after.pop("alerting")
    assert before == after
    assert new["thresholds"] == old["thresholds"]
    assert new["evaluation_seconds"] == 1
    assert new["objectives"]["outage"] == {
        **old["objectives"]["outage"],
        "window_seconds": round(old["objectives"]["outage"]["window_seconds"] / 15),
        "gateways_down_seconds": round(old["objectives"]["outage"]["gateways_down_seconds"] / 15),
    }


async def _nothing(world: object) -> None:
    pass


def test_only_proofs_without_a_fault_pass_and_none_at_all_is_invalid() -> None:
    incident = Incident("TierOutage", "it is broken", _nothing, "ops")
    well = Proof(incident, fired_seconds=6, told_seconds=12, resolved_seconds=60)
    ill = Proof(incident, faults=["it does not fire"])
    assert judged([well]).outcome is Outcome.PASS
    assert judged([well, ill]).outcome is Outcome.FAIL
    assert judged([]).outcome is Outcome.INVALID
    assert "| TierOutage | it is broken | 0.1 | 0.2 | 0 | 1.0 |" in table([well], 15)
    assert "| never | never | 0 | never |" in table([ill], 15)
    assert "divided by 15" in table([well], 15)


@pytest.mark.server
def test_three_incidents_on_a_live_stack_are_ended_by_their_runbooks(tmp_path: Path) -> None:
    chosen = [word for name in IN_CI for word in ("--only", name)]
    command = [sys.executable, "-m", "benchmarks.runbooks", *chosen, "--output", str(tmp_path / "proof.json")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = process.communicate(timeout=CI_SECONDS_MAX)
    finally:
        process.terminate()  # a no-op after its end; otherwise it ends its stack
        process.wait()
    assert process.returncode == 0, said
    report = json.loads((tmp_path / "proof.json").read_text())
    assert {row["alert"] for row in report["incidents"]} == set(IN_CI)
    for row in report["incidents"]:
        assert row["fired_seconds"] > 0
        assert row["resolved_seconds"] > 0
        assert len(row["commands"]) > 5
