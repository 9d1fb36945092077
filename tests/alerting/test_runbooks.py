"""Runbooks: one for each alert and no other, with links that lead somewhere and commands that exist."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.alerting.model import Alert, Case, Panel, Runbook, Series, Severity, Step
from ops.alerting.rules import alerts, families
from ops.alerting.runbooks import HARMLESS, INDEX, index, page
from ops.dashboarding.registry import panels

from .runbook_pages import command_faults, dead_links

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "runbooks"
SPEC = load_spec(ROOT / "gratefulgpt.yaml")
ALERTS = {alert.name: alert for alert in alerts(SPEC)}
PANELS = panels(SPEC)
RECORDED = frozenset(
    rule.record for groups in families(SPEC).values() for group in groups for rule in group.recordings
)


def test_each_alert_has_its_page_and_no_page_is_an_orphan() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {Path(INDEX).stem}
    assert pages == set(ALERTS)


def test_the_index_names_each_alert_once() -> None:
    text = (RUNBOOKS / INDEX).read_text(encoding="utf-8")
    assert ALERTS
    for name in ALERTS:
        assert text.count(f"]({name}.md)") == 1, name


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.name)
def test_each_link_of_a_page_leads_somewhere(path: Path) -> None:
    assert list(dead_links(path)) == []


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_the_panel_of_a_page_is_on_its_dashboard(name: str) -> None:
    panel = ALERTS[name].panel
    assert (panel.dashboard, panel.key) in PANELS


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_each_command_of_a_page_exists_with_its_options_and_variables(name: str) -> None:
    assert list(command_faults(ALERTS[name], RECORDED)) == []


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_says_what_to_run_and_how_to_see_that_it_is_over(name: str) -> None:
    book = ALERTS[name].runbook
    assert book.meaning
    assert book.impact
    assert any(step.commands for step in book.diagnosis)
    assert book.mitigation
    assert any(step.commands for step in book.verification)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_what_a_mitigation_does_can_be_taken_back(name: str) -> None:
    for step in ALERTS[name].runbook.mitigation:
        changes = [line for line in step.commands if not line.startswith(HARMLESS)]
        assert step.undo or not changes, step.text


def made(*lines: str, undo: tuple[str, ...] = (), labels: tuple[dict[str, str], ...] = ({"tier": "edge"},)) -> Alert:
    steps = (Step("Look.", lines),)
    return Alert(
        "SomethingWrong",
        Severity.WARNING,
        "unusual-usage",
        'up{job="engine"} == 0',
        "{{ $labels.tier }} is at {{ $value | humanize }}.",
        "It is.",
        Panel("overview", "availability"),
        Runbook("What it means.", "Whom it hurts.", steps, (Step("Mend it.", (), undo),), steps),
        (Case("it is", (Series("up", "0x10"),), fires=(1,), labels=labels),),
        keep_firing_seconds=180,
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("ops stack sttus", "No such command"),
        ("ops stack status --rundir .stack", "No such option"),
        ("ops route stable --now --tier $TIER --yes", "Missing option '--reason'"),
        ("ops nothing", "No such command"),
        ("ops canary rollback --tier $TIER", "give it --yes"),
        ("ops canary status --tier '$TIER'", "no shell fills in $TIER"),
        ("ops canary status --tier $INSTANCE", "does not set $INSTANCE"),
        ("promtool query instant $PROMETHEUS 'sum(rate(nothing_total[5m]))'", "nothing exposes nothing_total"),
        ("promtool query instant $PROMETHEUS 'up{jib=\"engine\"}'", "no label jib"),
        ("promtool query instant $PROMETHEUS 'up{'", "up{"),
        ("promtool query instant $PROMETHEUS", "not as in"),
        ("rm -rf /", "rm is no program of runbooks"),
        ("ops stack status > out", "'>' has no place"),
        ("ops stack status |", "nothing stands before"),
        ("ops stack status 'x", "No closing quotation"),
    ],
)
def test_a_command_that_would_not_run_is_found(line: str, complaint: str) -> None:
    fault = next(command_faults(made(line), RECORDED))
    assert complaint in fault


@pytest.mark.parametrize(
    "line",
    [
        "ops stack status --run-dir $RUN_DIR",
        "ops route stable --now --tier $TIER --reason 'it is slow' --yes",
        'promtool query instant $PROMETHEUS "up{job=\\"engine\\"}"',
        "curl -s http://127.0.0.1:1/metrics | grep up",
        "ops probe --tier ${TIER} && ops stack status",
    ],
)
def test_a_command_that_runs_passes(line: str) -> None:
    assert list(command_faults(made(line), RECORDED)) == []


def test_a_variable_counts_only_if_each_firing_has_its_label() -> None:
    alert = made("ops canary status --tier $TIER", labels=({"tier": "edge"}, {"instance": "a:1"}))
    assert len(list(command_faults(alert, RECORDED))) == 2, "it stands in diagnosis and verification"


def test_a_way_back_is_looked_at_like_any_command() -> None:
    assert list(command_faults(made(undo=("ops nothing",)), RECORDED))


def test_a_page_tells_its_variables_and_when_it_is_over() -> None:
    text = page(made("ops canary status --tier $TIER"), "../alerts/rules/x.yml", SPEC)
    assert 'eval "$(ops alerts env SomethingWrong)"' in text
    assert "where it fires more than once: `$TIER`" in text
    assert "`$TIER` is at …." in text
    assert "ALERTS{alertname=\"SomethingWrong\",alertstate=\"firing\"}" in text
    assert "3m after the last bad look" in text
    assert "[x.yml](../alerts/rules/x.yml)" in text
    assert "of the dashboard [overview](../dashboards/overview.json)" in text


def test_the_index_goes_by_severity_and_category_in_the_specs_order() -> None:
    first, second = made(), replace(made(), name="Another", category="model-quality")
    text = index([second, first], {Severity.WARNING: ("unusual-usage", "model-quality"), Severity.INFO: ()})
    assert text.index("### unusual-usage") < text.index("[SomethingWrong]") < text.index("### model-quality")
    assert text.index("### model-quality") < text.index("[Another]")


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# The head\n[up](#the-head) [gone](b.md) [web](https://example.org) [no](#else)\n")
    assert [fault.split(": ")[1].split()[0] for fault in dead_links(tmp_path / "a.md")] == ["b.md", "#else"]
