"""``ops alerts status``: what fires, who is told, and when that cannot be believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.alerting.routing import configuration
from ops.alerting.standing import NOT_TOLD, Standing, verdict
from ops.cli.main import main
from ops.spec.alerting import Alerting
from ops.verdict import Outcome

from .servers import Alertmanager, alertmanager, pretender

WATCHDOG = {"alertname": "Watchdog", "severity": "info"}
OUTAGE = {"alertname": "TierOutage", "severity": "critical", "category": "service-downtime", "tier": "edge"}


def _standing(labels: dict[str, str], told: str = "told critical") -> Standing:
    return Standing(labels, "2026-11-25T12:00:00Z", told, "summary", "", "")


@pytest.mark.parametrize(
    ("firing", "outcome", "words"),
    [
        ([], Outcome.INVALID, "does not fire"),
        ([_standing(OUTAGE)], Outcome.INVALID, "does not fire"),
        ([_standing(WATCHDOG, NOT_TOLD)], Outcome.INVALID, "nobody is told"),
        ([_standing(WATCHDOG)], Outcome.PASS, "nothing fires"),
        ([_standing(WATCHDOG), _standing({"alertname": "A", "severity": "info"})], Outcome.PASS, "somebody has to act"),
        ([_standing(WATCHDOG), _standing({"alertname": "A", "severity": "warning"})], Outcome.FAIL, "A (warning)"),
        ([_standing(WATCHDOG), _standing(OUTAGE, "silenced")], Outcome.FAIL, "TierOutage (critical) fires since"),
    ],
)
def test_only_what_is_known_to_be_well_passes(firing: list[Standing], outcome: Outcome, words: str) -> None:
    answer = verdict(firing)
    assert answer.outcome is outcome
    assert words in answer.evidence[0].text


@pytest.fixture
def running(alerting: Alerting, tmp_path: Path) -> Iterator[Alertmanager]:
    config = tmp_path / "alertmanager.yml"
    config.write_text(configuration(alerting, kept=()), encoding="utf-8")
    with alertmanager(config) as found:
        yield found


def _prometheus(*labels: dict[str, str]) -> dict[str, tuple[int, str]]:
    alerts: list[dict[str, Any]] = [
        {
            "labels": one,
            "annotations": {"summary": "hardly any answer", "runbook_url": "https://r/x.md", "dashboard_url": "http://g"},
            "state": "firing",
            "activeAt": "2026-11-25T12:00:00Z",
            "value": "1",
        }
        for one in labels
    ]
    return {"/api/v1/alerts": (200, json.dumps({"status": "success", "data": {"alerts": alerts}}))}


@pytest.mark.server
def test_an_alert_is_shown_with_who_is_told_and_where_it_leads(
    running: Alertmanager, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = {"alertname": "SlowAnswers", "severity": "critical", "category": "missed-target", "tier": "edge"}
    running.fire(WATCHDOG, OUTAGE, slow)
    with pretender(_prometheus(WATCHDOG, OUTAGE, slow)) as url:
        arguments = ["alerts", "status", "--prometheus", url, "--alertmanager", running.url]
        assert main([*arguments, "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert main(arguments) == 1
        shown = capsys.readouterr().out
    assert told["schema"] == "gratefulgpt.alerts-status/1"
    assert told["verdict"]["outcome"] == "fail"
    by_name = {one["labels"]["alertname"]: one for one in told["alerts"]}
    assert by_name["TierOutage"]["told"] == "told critical"
    assert by_name["SlowAnswers"]["told"] == "inhibited"
    assert by_name["Watchdog"]["told"] == "told heartbeat"
    assert by_name["TierOutage"]["runbook_url"] == "https://r/x.md"
    assert "TierOutage: https://r/x.md" in shown


@pytest.mark.server
def test_quiet_is_a_pass_only_with_a_watchdog(running: Alertmanager) -> None:
    arguments = ["alerts", "status", "--alertmanager", running.url, "--prometheus"]
    with pretender(_prometheus()) as url:
        assert main([*arguments, url]) == 4
    with pretender(_prometheus(WATCHDOG)) as url:
        assert main([*arguments, url]) == 4
        running.fire(WATCHDOG)
        assert main([*arguments, url]) == 0


@pytest.mark.server
@pytest.mark.parametrize("answer", [(503, ""), (200, "<html>")])
def test_what_cannot_be_asked_is_invalid(answer: tuple[int, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pretender({"/api/v1/alerts": answer}) as url:
        assert main(["alerts", "status", "--prometheus", url, "--alertmanager", url]) == 4
        with pretender(_prometheus(WATCHDOG)) as other:
            assert main(["alerts", "status", "--prometheus", other, "--alertmanager", url]) == 4
    assert main(["alerts", "status", "--prometheus", "http://127.0.0.1:1", "--alertmanager", "http://127.0.0.1:1"]) == 4
    assert capsys.readouterr().err.count("what fires is not known") == 3
