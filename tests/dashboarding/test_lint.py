"""The rules of Grafana's dashboard-linter, and what it lacks. Each test is one of its rules, named in its docstring.

Written from the linter's list of rules, since it is a program in Go that cannot be had here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest

from ops.alerting import queries
from ops.alerting.catalogue import Kind, by_series
from ops.dashboarding.checking import plain
from ops.dashboarding.model import Shape, Unit
from ops.dashboarding.registry import dashboards, panels, recorded_names
from ops.dashboarding.rendering import MARK, MARK_TAG
from ops.spec.model import Spec

Boards = dict[str, dict[str, Any]]
RATES = ("rate", "irate", "increase", "changes")
NO_INSTANCE = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
"""Series that rules make: their expressions have summed instances away."""


def shown(boards: Boards) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, board in boards.items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield name, panel


def expressions(boards: Boards) -> Iterator[str]:
    for _, panel in shown(boards):
        for target in panel["targets"]:
            yield target["expr"]


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in board["templating"]["list"]}


def test_the_data_source_is_a_variable(boards: Boards) -> None:
    """template-datasource-rule"""
    for board in boards.values():
        found = variables(board)["datasource"]
        assert (found["type"], found["query"], found["label"]) == ("datasource", "prometheus", "Data source")


@pytest.mark.parametrize(("name", "every"), [("job", None), ("instance", ".+")])
def test_job_and_instance_can_be_chosen(boards: Boards, name: str, every: str | None) -> None:
    """template-job-rule, template-instance-rule; but for all jobs, which the linter wants to be ``.+``: every program
    has ``up``, and with that the engines' dashboard counted PostgreSQL among the engines that are up."""
    for board in boards.values():
        found = variables(board)[name]
        assert (found["type"], found["label"]) == ("query", name.capitalize())
        assert found["datasource"]["uid"] == "${datasource}"
        assert (found["multi"], found["includeAll"], found.get("allValue")) == (True, True, every)


def test_variables_ask_in_promql_and_anew_when_the_time_changes(boards: Boards) -> None:
    """template-label-promql-rule, template-on-time-change-reload-rule"""
    for board in boards.values():
        for variable in variables(board).values():
            if variable["type"] == "query":
                asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
                assert asked
                names = {name for reading in queries.readings(plain(asked[1])) for name in reading.name.split("|")}
                assert names <= set(by_series()), variable["query"]
                assert variable["refresh"] == 2


def test_every_panel_and_query_takes_the_data_source_chosen(boards: Boards) -> None:
    """panel-datasource-rule"""
    for name, panel in shown(boards):
        assert panel["datasource"]["uid"] == "${datasource}", (name, panel["title"])
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_every_panel_has_a_title_and_says_what_it_shows(boards: Boards) -> None:
    """panel-title-description-rule"""
    for name, panel in shown(boards):
        assert panel["title"], name
        assert panel["description"].endswith("."), (name, panel["title"])
        assert panel["description"] != panel["title"]


def test_every_panel_has_a_unit_that_grafana_knows(boards: Boards) -> None:
    """panel-units-rule"""
    known = {unit.value for unit in Unit}
    assert {panel["fieldConfig"]["defaults"]["unit"] for _, panel in shown(boards)} <= known


def test_every_panel_asks_for_something(boards: Boards) -> None:
    """panel-no-targets-rule"""
    assert all(panel["targets"] and all(one["expr"] for one in panel["targets"]) for _, panel in shown(boards))


def test_every_query_is_promql(boards: Boards) -> None:
    """target-promql-rule"""
    for expression in expressions(boards):
        promql.parse(plain(expression))


def test_rates_are_taken_over_the_rate_interval(boards: Boards) -> None:
    """target-rate-interval-rule"""
    for expression in expressions(boards):
        assert not re.search(r"i?rate\([^\[]*\[(?!\$__rate_interval)", expression), expression


@pytest.mark.parametrize("name", ["job", "instance"])
def test_every_selector_follows_the_choice_of_job_and_instance(spec: Spec, boards: Boards, name: str) -> None:
    """target-job-rule, target-instance-rule"""
    made = recorded_names(spec) | NO_INSTANCE
    for expression in expressions(boards):
        marked = expression.replace(f'{name}=~"${name}"', f'{name}=~"chosen"')
        for reading in queries.readings(plain(marked)):
            assert reading.name in made or reading.matchers.get(name) == "chosen", expression


def test_counters_are_shown_as_rates(spec: Spec, boards: Boards) -> None:
    """target-counter-agg-rule; here for every counter of the catalogue, whatever its name ends in"""
    counters = {name for name, metrics in by_series().items() if all(one.kind is not Kind.GAUGE for one in metrics)}
    for expression in expressions(boards):
        for match in re.finditer(r"(?:(\w+)\()?([a-zA-Z_:]\w*(?::\w+)*)\{", expression):
            if match[2] in counters:
                assert match[1] in RATES, expression


def test_dashboards_cannot_be_edited_by_hand_and_say_why(boards: Boards) -> None:
    """uneditable-dashboard"""
    for board in boards.values():
        assert board["editable"] is False
        assert MARK in board["description"]
        assert MARK_TAG in board["tags"]


# --- Beyond the linter ------------------------------------------------------------------------------------------


def test_no_query_makes_up_what_is_missing(boards: Boards) -> None:
    for expression in expressions(boards):
        assert not re.search(r"vector\(|absent", expression), expression


def test_histograms_are_shown_as_heatmaps_too(spec: Spec) -> None:
    read = {
        (reading.name, panel.shape)
        for panel in panels(spec).values()
        for query in panel.queries
        for reading in queries.readings(plain(query.expression))
        if reading.name.endswith("_bucket")
    }
    for name in ("gateway_request_latency_seconds", "vllm:time_to_first_token_seconds", "controller_tick_seconds"):
        assert (f"{name}_bucket", Shape.HEATMAP) in read


def test_links_between_dashboards_keep_time_and_choices(spec: Spec, boards: Boards) -> None:
    for board in boards.values():
        (link,) = board["links"]
        assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True)
        assert set(link["tags"]) <= set(board["tags"])


def test_every_dashboard_shows_when_rollouts_started_and_ended(boards: Boards) -> None:
    for board in boards.values():
        asked = json.dumps([one["target"]["expr"] for one in board["annotations"]["list"]])
        assert "rollout_started_timestamp_seconds" in asked
        assert "rollout_ended_total" in asked


def test_panels_do_not_overlap_and_stay_on_the_page(boards: Boards) -> None:
    for name, board in boards.items():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, (name, panel["title"])
            assert at["x"] + at["w"] <= 24, (name, panel["title"])
            taken |= cells


def test_each_metric_of_the_service_is_on_some_panel(spec: Spec) -> None:
    read = {
        reading.name
        for board in dashboards(spec)
        for panel in board.panels
        for query in panel.queries
        for reading in queries.readings(plain(query.expression))
    }
    own = {name for name in by_series() if name.startswith(("gateway_", "controller_", "rollout_"))}
    histograms = {name.removesuffix("_bucket") for name in read if name.endswith("_bucket")}
    missing = {name for name in own - read if not any(name.startswith(one) for one in histograms)}
    assert missing == set(NOT_SHOWN)


NOT_SHOWN = {
    "gateway_requests_streamed_total": "the judge's: how many could have shown a slow first token",
    "gateway_requests_control_sum": "the judge's: by it series that were lost on their way are found",
    "gateway_worker_info": "names, no number",
    "rollout_quality_probed_timestamp_seconds": "its age is told with the verdict, by ops canary status",
}
"""Metrics that no panel reads, and why."""
