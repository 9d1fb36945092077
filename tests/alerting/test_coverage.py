"""What the spec demands has its alert, what it sets is used, and every metric that is known is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runbooks.shortening import shortened
from ops.adapters.spec_file import load_spec, parse_spec
from ops.alerting.catalogue import METRICS
from ops.alerting.files import ALERTS, files
from ops.alerting.queries import readings
from ops.alerting.rendering import rule_file
from ops.alerting.rules import alerts, families
from ops.dashboarding.checking import plain
from ops.dashboarding.registry import panels
from ops.spec.base import Part
from ops.spec.model import Spec

PROJECT = Path(__file__).resolve().parents[2]
SPEC = load_spec(PROJECT / "gratefulgpt.yaml")
UNREAD = {
    "gateway_requests_control_sum": "the controller's: whether all counters arrived",
    "gateway_requests_streamed_total": "the judge's: how many requests could show a stream's events",
    "gateway_worker_info": "the controller's: which worker a series is of",
    "process_start_time_seconds": "for questions by hand: runbooks compare it with an incident's beginning",
}
"""Metrics that neither a rule nor a panel reads, and why they are known all the same."""


def test_every_metric_is_read_by_a_rule_or_a_panel_or_has_a_reason() -> None:
    read = {one.name for expression in (*_rules(), *_panels()) for one in readings(expression)}
    unread = {metric.name for metric in METRICS if not read & set(metric.series)}
    assert sorted(unread - set(UNREAD)) == [], "these need an alert or a panel"
    assert sorted(set(UNREAD) - unread) == [], "these are read now"


def test_every_category_of_the_spec_has_an_alert_or_a_reason_why_not() -> None:
    named = {name for _, names in SPEC.alerting.categories for name in names}
    used = {alert.category for alert in alerts(SPEC)}
    assert named - used == set(SPEC.alerting.without_alerts)
    assert used <= named


def test_without_an_exporter_its_rules_are_left_out_and_nothing_misses_them() -> None:
    bare = SPEC.model_copy(update={"alerting": SPEC.alerting.model_copy(update={"exporters": ()})})
    names = {alert.name for alert in alerts(bare)}
    gone = {alert.name for alert in alerts(SPEC)} - names
    assert {"CpuBusy", "GpuHot", "DatabaseDown", "NoNode", "NoDcgm", "NoPostgres"} <= gone
    assert {"EngineDown", "SeriesMissing", "Watchdog", "ControllerNoLeader"} <= names
    missing = next(alert for alert in alerts(bare) if alert.name == "SeriesMissing")
    jobs = {reading.matchers["job"] for reading in readings(missing.expression) if reading.name == "up"}
    assert jobs == {"gateway", "controller", "engine", "prometheus", "alertmanager"}


def test_a_level_that_is_not_set_makes_no_alert() -> None:
    thresholds = SPEC.alerting.thresholds.model_copy(
        update={"cpu_percent": SPEC.alerting.thresholds.storage_percent, "storage_percent": type(
            SPEC.alerting.thresholds.storage_percent)(), "milestone_percent": None}
    )  # fmt: skip
    changed = SPEC.model_copy(update={"alerting": SPEC.alerting.model_copy(update={"thresholds": thresholds})})
    names = {alert.name for alert in alerts(changed)}
    assert {"CpuBusy", "CpuExhausted"} <= names
    assert not {"StorageFilling", "StorageFull", "RequestMilestone", "TokenMilestone"} & names


def _numbers(part: Part, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in part:
        if isinstance(value, Part):
            yield from _numbers(value, (*path, name))
        elif isinstance(value, int | float):
            yield (*path, name)


SET = [
    (part, *path)
    for part in ("thresholds", "timing", "floors")
    for path in _numbers(getattr(SPEC.alerting, part))
]


@pytest.mark.parametrize("path", SET, ids=".".join)
def test_a_number_that_is_changed_in_the_spec_changes_a_rule(path: tuple[str, ...]) -> None:
    changed = _changed(SPEC, ("alerting", *path))
    assert _rendered(changed) != RENDERED


@pytest.mark.parametrize("factor", [3, 5, 15])
def test_shorter_times_give_rules_and_cases_too(factor: int) -> None:
    text = shortened(PROJECT / "gratefulgpt.yaml", "http://127.0.0.1:1/told", factor)
    assert set(files(parse_spec(text.encode(), "shortened.yaml"))) >= {ALERTS / "rules" / "quality.yml"}


def _changed(part: Any, path: tuple[str, ...]) -> Any:
    """With the number at the path made twice as large: as far as an evaluation's grid goes, always another one."""
    now = getattr(part, path[0])
    return part.model_copy(update={path[0]: _changed(now, path[1:]) if path[1:] else 2 * now})


def _rendered(spec: Spec) -> list[str]:
    return [rule_file(groups, spec) for groups in families(spec).values()]


RENDERED = _rendered(SPEC)


def _rules() -> Iterator[str]:
    for groups in families(SPEC).values():
        for group in groups:
            yield from group.expressions


def _panels() -> Iterator[str]:
    for panel in panels(SPEC).values():
        yield from (plain(query.expression) for query in panel.queries)
