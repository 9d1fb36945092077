"""Panels, their keys and addresses, and what a panel may ask for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ops.alerting import rules
from ops.alerting.queries import QueryError
from ops.dashboarding import checking
from ops.dashboarding.files import files, rendered_boards
from ops.dashboarding.links import PANEL_IDS, panel_id, panel_link, uid
from ops.dashboarding.model import Query
from ops.dashboarding.querying import rate, select
from ops.dashboarding.registry import dashboards, panels
from ops.spec.alerting import GrafanaAnnotations, Thresholds
from ops.spec.model import Spec

RENDER_SECONDS_MAX = 1.0


def test_every_panel_has_its_own_key_and_number(spec: Spec) -> None:
    for board in dashboards(spec):
        keys = [panel.key for panel in board.panels]
        assert len(keys) == len(set(keys)), board.name
        assert len({panel_id(key) for key in keys}) == len(keys), board.name


def test_a_panels_link_leads_to_the_panel(spec: Spec, boards: dict[str, dict[str, Any]]) -> None:
    for (board, key), panel in panels(spec).items():
        path = panel_link(board, key, spec.service)
        address, number = path.split("?viewPanel=")
        assert address == f"/d/{boards[board]['uid']}"
        titles = {one["id"]: one["title"] for one in boards[board]["panels"] if one["type"] != "row"}
        assert titles[int(number)] == panel.title
        assert 0 < int(number) <= PANEL_IDS


def test_uids_are_as_long_as_grafana_takes_them(spec: Spec) -> None:
    longest = "s" * 64
    found = {uid(board.name, service) for board in dashboards(spec) for service in (longest, longest + "x", "short")}
    assert len(found) == 3 * len(dashboards(spec))
    assert max(map(len, found)) <= 40


def test_every_alert_names_a_panel_that_exists(spec: Spec) -> None:
    known = panels(spec)
    for alert in rules.alerts(spec):
        assert (alert.panel.dashboard, alert.panel.key) in known, alert.name


def test_a_panel_links_to_the_runbooks_of_its_alerts(spec: Spec, boards: dict[str, dict[str, Any]]) -> None:
    for alert in rules.alerts(spec):
        board = boards[alert.panel.dashboard]
        panel = next(one for one in board["panels"] if one.get("id") == panel_id(alert.panel.key))
        assert any(link["url"].endswith(f"{alert.name}.md") for link in panel["links"])


def test_rendering_twice_gives_the_same_bytes_in_time(spec: Spec) -> None:
    start = time.process_time()
    first = files(spec)
    assert time.process_time() - start < RENDER_SECONDS_MAX
    assert files(spec) == first


def test_a_number_of_the_spec_moves_the_lines_of_its_panels(spec: Spec) -> None:
    classes = {**spec.task_classes, "query": spec.task_classes["query"].model_copy(update={"latency_p95_ms": 400.0})}
    changed = spec.model_copy(update={"task_classes": classes})
    key = ("overview", "latency_p95_query")
    assert [bound.value for bound in panels(spec)[key].bounds] == [0.5]
    assert [bound.value for bound in panels(changed)[key].bounds] == [0.4]


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        (Query(rate("gateway_reponses_total", by="task")), "nothing exposes gateway_reponses_total"),
        (Query(rate("gateway_responses_total", 'taks="generate"')), "no label taks"),
        (Query(rate("gateway_responses_total", by="taks")), "no metric read has the label taks"),
        (Query(select("gateway_requests_queued"), "{{tier}}"), "no metric read has the label tier"),
        (Query("rate(gateway_responses_total["), "rate(gateway_responses_total["),
    ],
)
def test_a_query_for_what_nobody_exposes_is_refused(query: Query, complaint: str) -> None:
    with pytest.raises(QueryError) as refused:
        checking.check(query, frozenset())
    assert complaint in str(refused.value)


def test_panels_of_an_exporter_that_the_spec_does_not_name_are_left_out(spec: Spec) -> None:
    without = spec.model_copy(update={"alerting": spec.alerting.model_copy(update={"exporters": ("node",)})})
    left_out = set(panels(spec)) - set(panels(without))
    assert left_out
    assert {key.split("_")[0] for _, key in left_out} == {"gpu", "postgres"}


def test_steps_of_rollouts_are_asked_of_grafana_where_the_controller_tells_it(spec: Spec) -> None:
    told = spec.notifications.model_copy(update={"grafana": GrafanaAnnotations(token_file="grafana-token")})
    asked = rendered_boards(spec.model_copy(update={"notifications": told}))["rollouts"]["annotations"]
    silent = rendered_boards(spec)["rollouts"]["annotations"]
    assert isinstance(asked, dict)
    assert isinstance(silent, dict)
    (more,) = [one for one in asked["list"] if one not in silent["list"]]
    assert more["target"]["tags"] == ["gratefulgpt", "rollout"]


NOT_DRAWN = {
    "preemptions": "a number in a window; the panel shows them per second",
    "engine_rejections": "the same",
    "database_deadlocks": "the same",
    "refused_percent": "a share; the panel shows which limits refuse how many per second",
    "tick_failure_percent": "a share; the panel shows passes and failures per second",
    "notification_failure_percent": "the same",
    "engines_lost_percent": "a share; the panel shows how many are up and how many there are",
    "traffic_times": "against the day before, which the panel shows if the time chosen is long enough",
    "milestone_percent": "the panels draw the target itself",
}
"""Thresholds of alerts that are no line on their panel, and why."""


@pytest.mark.parametrize("name", [name for name in Thresholds.model_fields if name not in NOT_DRAWN])
def test_each_threshold_of_the_spec_is_a_line_on_a_panel(spec: Spec, name: str) -> None:
    levels = getattr(spec.alerting.thresholds, name)
    level = next(key for key in ("warning", "critical") if getattr(levels, key) is not None)
    moved = levels.model_copy(update={level: getattr(levels, level) * 0.9})
    thresholds = spec.alerting.thresholds.model_copy(update={name: moved})
    alerting = spec.alerting.model_copy(update={"thresholds": thresholds})
    before, after = panels(spec), panels(spec.model_copy(update={"alerting": alerting}))
    assert [key for key in before if before[key].bounds != after[key].bounds]


def test_only_thresholds_are_excused() -> None:
    assert set(NOT_DRAWN) < set(Thresholds.model_fields)
