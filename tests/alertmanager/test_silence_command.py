"""``ops alerts silence`` at a real Alertmanager: what it silences is not told, and is told again afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.alerting.routing import configuration
from ops.cli.main import main
from ops.spec.alerting import Alerting

from .conftest import ROOT
from .servers import Alertmanager, alertmanager, pretender, wait_until

pytestmark = pytest.mark.server

Command = Callable[..., int]
EDGE = {"alertname": "SlowAnswers", "severity": "critical", "category": "missed-target", "tier": "edge"}
WATCHDOG = {"alertname": "Watchdog", "severity": "info", "category": "maintenance-window", "tier": "edge"}


@pytest.fixture
def running(alerting: Alerting, tmp_path: Path) -> Iterator[Alertmanager]:
    config = tmp_path / "alertmanager.yml"
    config.write_text(configuration(alerting, kept=()), encoding="utf-8")
    with alertmanager(config) as found:
        yield found


@pytest.fixture
def silence(running: Alertmanager) -> Command:
    def run(verb: str, *arguments: str) -> int:
        spec = ["--spec", str(ROOT / "gratefulgpt.yaml"), "--yes"] if verb == "add" else []
        return main(["alerts", "silence", verb, *arguments, *spec, "--alertmanager", running.url])

    return run


def test_a_silence_hides_its_alerts_until_it_is_ended(
    silence: Command, running: Alertmanager, capsys: pytest.CaptureFixture[str]
) -> None:
    running.fire(EDGE, {**EDGE, "tier": "research"}, WATCHDOG)
    assert silence("add", "--for", "2h", "--comment", "new disks", "--match", "tier=edge") == 0
    made = capsys.readouterr().out.strip()
    wait_until(lambda: running.suppressed() == {"SlowAnswers"}, "it is silent")
    hidden = [one["labels"]["tier"] for one in running.alerts() if one["status"]["silencedBy"]]
    assert hidden == ["edge"]
    assert silence("list", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "gratefulgpt.alerts-silences/1"
    assert [one["id"] for one in told["silences"]] == [made]
    assert told["silences"][0]["matchers"] == ['tier="edge"', 'alertname!="Watchdog"']
    assert silence("expire", made) == 0
    wait_until(lambda: running.suppressed() == set(), "it is told again")
    assert silence("expire", made) == 0
    capsys.readouterr()
    assert silence("list", "--json") == 0
    assert json.loads(capsys.readouterr().out)["silences"] == []


def test_a_maintenance_window_is_silenced_once(silence: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert silence("add", "weekly-upkeep") == 0
    first = capsys.readouterr().out
    assert silence("add", "weekly-upkeep") == 0
    second = capsys.readouterr()
    assert second.out == first
    assert "it was there already" in second.err
    assert silence("list") == 0
    assert "maintenance window weekly-upkeep" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["weekly"], "no maintenance window 'weekly'; it has weekly-upkeep"),
        (["weekly-upkeep", "--for", "2h"], "says how long"),
        (["--for", "2h", "--match", "tier=edge"], "--for, --comment and --match"),
        (["--for", "2 hours", "--comment", "x", "--match", "tier=edge"], "is no time"),
        (["--for", "25h", "--comment", "x", "--match", "tier=edge"], "longer than"),
        (["--for", "2h", "--comment", "x", "--match", "tier=~.*"], "hides every incident"),
        (["--for", "2h", "--comment", "x", "--match", "tier"], "is no matcher"),
    ],
)
def test_a_silence_that_must_not_be_made_is_wrong_usage(
    silence: Command, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert silence("add", *arguments) == 2
    assert words in capsys.readouterr().err
    assert silence("list", "--json") == 0
    assert json.loads(capsys.readouterr().out)["silences"] == []


def test_a_silence_that_is_not_there_cannot_be_ended(silence: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert silence("expire", "../status") == 2
    assert "there is no silence" in capsys.readouterr().err


def test_an_alertmanager_that_is_down_or_answers_rubbish_is_invalid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", "silence", "list", "--alertmanager", "http://127.0.0.1:1"]) == 4
    assert "cannot be reached" in capsys.readouterr().err
    with pretender({"/api/v2/silences": (200, '[{"id": 1}]')}) as url:
        assert main(["alerts", "silence", "list", "--alertmanager", url]) == 4
    assert "something else than its API's JSON" in capsys.readouterr().err
