"""What was found by looking at pictures of the dashboards (`make pictures`), so that it does not come back."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from ops.dashboarding.model import RED, Panel, Query, Shape, Unit
from ops.dashboarding.querying import share
from ops.dashboarding.registry import panels
from ops.spec.model import Spec

Boards = dict[str, dict[str, Any]]


def lines(spec: Spec) -> dict[tuple[str, str], Panel]:
    return {key: panel for key, panel in panels(spec).items() if panel.shape is Shape.LINES}


def drawn(spec: Spec, boards: Boards, key: tuple[str, str]) -> dict[str, Any]:
    """A panel as Grafana has it."""
    title = panels(spec)[key].title
    return next(one for one in boards[key[0]]["panels"] if one["title"] == title)


def overrides(panel: dict[str, Any], name: str) -> dict[str, Any]:
    """The properties that series or columns of exactly this name are given, by their id."""
    return {
        one["id"]: one["value"]
        for rule in panel["fieldConfig"]["overrides"]
        if rule["matcher"]["options"] in (name, f"/^({name})$/")
        for one in rule["properties"]
    }


def test_no_two_panels_of_a_dashboard_are_called_the_same(boards: Boards) -> None:
    for name, board in boards.items():
        titles = Counter(panel["title"] for panel in board["panels"] if panel["type"] != "row")
        assert not [title for title, count in titles.items() if count > 1], name


def test_every_line_of_panels_fills_the_page(boards: Boards) -> None:
    for name, board in boards.items():
        widths: Counter[int] = Counter()
        for panel in board["panels"]:
            widths[panel["gridPos"]["y"]] += panel["gridPos"]["w"]
        assert set(widths.values()) == {24}, (name, widths)


def test_shares_that_are_all_0_do_not_stand_on_an_axis_of_10000_percent(spec: Spec, boards: Boards) -> None:
    shares = [key for key, panel in lines(spec).items() if panel.unit is Unit.RATIO]
    assert len(shares) > 20
    for key in shares:
        defaults = drawn(spec, boards, key)["fieldConfig"]["defaults"]
        assert defaults.get("max", defaults["custom"].get("axisSoftMax", 100)) <= 2, key


def test_the_first_bound_is_always_in_view(spec: Spec, boards: Boards) -> None:
    near = {key: panel for key, panel in lines(spec).items() if panel.bounds and panel.near}
    assert len(near) > 30
    for key, panel in near.items():
        defaults, first = drawn(spec, boards, key)["fieldConfig"]["defaults"], panel.bounds[0].value
        custom = defaults["custom"]
        assert defaults.get("max", custom.get("axisSoftMax", 0)) >= first, key
        assert defaults.get("min", custom.get("axisSoftMin", 0)) <= first, key


def test_availability_is_not_drawn_from_0_on(spec: Spec, boards: Boards) -> None:
    custom = drawn(spec, boards, ("overview", "availability"))["fieldConfig"]["defaults"]["custom"]
    assert 0.99 < custom["axisSoftMin"] < spec.targets.availability_percent / 100


def test_requests_per_second_beside_shares_are_no_percents(spec: Spec, boards: Boards) -> None:
    table = drawn(spec, boards, ("overview", "tiers"))
    assert table["fieldConfig"]["defaults"]["unit"] == "percentunit"
    assert overrides(table, "requests per second")["unit"] == "reqps"
    assert overrides(table, "failed")["thresholds"]["steps"][-1]["color"] == RED


@pytest.mark.parametrize(
    ("key", "series", "colour"),
    [
        (("overview", "alerts_over_time"), "critical", "red"),
        (("overview", "alerts_over_time"), "warning", "yellow"),
        (("rollouts", "ended"), "promoted", "green"),
        (("rollouts", "ended"), "rolled_back", "red"),
        (("rollouts", "looks"), "roll_back", "red"),
        (("gateway", "responses"), "5..", "red"),
        (("gateway", "responses"), "2..", "green"),
        (("engines", "finished"), "error", "red"),
    ],
)
def test_good_and_bad_have_their_colours(
    spec: Spec, boards: Boards, key: tuple[str, str], series: str, colour: str
) -> None:
    assert overrides(drawn(spec, boards, key), series)["color"] == {"mode": "fixed", "fixedColor": colour}


def test_an_arm_has_the_same_colour_on_every_panel(spec: Spec, boards: Boards) -> None:
    arms = [name for board, name in panels(spec) if board == "rollouts" and name.startswith("arm_")]
    of_arms = [("rollouts", name) for name in arms if name != "arm_events"]
    assert len(of_arms) > 5
    colours = [overrides(drawn(spec, boards, key), ".*canary.*")["color"]["fixedColor"] for key in of_arms]
    assert set(colours) == {"orange"}


def test_counts_over_a_time_are_whole(spec: Spec) -> None:
    """`increase` makes 1.01 of one rollout."""
    counted = [panel for panel in panels(spec).values() if panel.shape is Shape.BARS]
    assert counted
    assert all(
        query.expression.removeprefix("sort_desc(").startswith("round(") for one in counted for query in one.queries
    )


def test_all_jobs_are_the_sources_own(boards: Boards) -> None:
    """Everything that is scraped has `up`: with the pattern .+ PostgreSQL was counted among the engines."""
    for name, board in boards.items():
        (job,) = [one for one in board["templating"]["list"] if one["name"] == "job"]
        assert "allValue" not in job, name


def test_annotations_do_not_follow_the_choice_of_a_job(boards: Boards) -> None:
    """The controller, which tells of rollouts, is no job of the engines' dashboard."""
    for board in boards.values():
        for one in board["annotations"]["list"]:
            assert "$job" not in json.dumps(one)


def test_no_percentile_is_read_from_buckets_that_begin_above_it(spec: Spec) -> None:
    """vLLM's buckets of a request's phases begin at 0.3 s."""
    coarse = [f"request_{phase}_time_seconds" for phase in ("queue", "prefill", "decode")]
    asked = [query.expression for panel in panels(spec).values() for query in panel.queries]
    of_phases = [one for one in asked if any(name in one for name in coarse)]
    assert len(of_phases) == len(coarse)
    assert not any("quantile" in one for one in of_phases)


def test_the_names_of_rule_groups_stand_without_their_files_path(spec: Spec) -> None:
    queries = [query for panel in panels(spec).values() for query in panel.queries]
    found = [query.expression for query in queries if "{{rule_group}}" in query.legend]
    assert len(found) == 2
    assert all("label_replace(" in one and '"$1", "rule_group", ".*;(.*)"' in one for one in found)


def test_columns_of_the_narrow_table_of_alerts_fit(spec: Spec, boards: Boards) -> None:
    """Grafana gives a column without a width 150 pixels at least: four of them in eight of 24 columns were cut."""
    table = drawn(spec, boards, ("overview", "alerts"))
    widths = [overrides(table, column)["custom.width"] for column in ("severity", "tier", "for")]
    assert sum(widths) + 150 < 450


def test_nothing_of_nothing_is_no_share() -> None:
    assert share("a", "b") == "a / (b > 0)"
    assert share("a", "b", "on (tier) group_left ()") == "a / on (tier) group_left () (b > 0)"


def test_a_column_of_a_table_without_a_unit_has_the_panels(boards: Boards, spec: Spec) -> None:
    assert Query("up").unit is None
    assert "unit" not in overrides(drawn(spec, boards, ("overview", "tiers")), "late")
