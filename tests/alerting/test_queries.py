"""A rule that reads what nothing exposes is refused: it would never fire, and look like good health."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.alerting.catalogue import Source
from ops.alerting.model import Group, Recording
from ops.alerting.queries import QueryError, check, readings
from ops.alerting.rules import FAMILIES, families
from ops.cli.alerts_options import queries_checked
from ops.cli.output import CommandError
from ops.spec.model import Spec

ROOT = Path(__file__).parents[2]
EVERY = frozenset(Source)


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec(ROOT / "gratefulgpt.yaml")


@pytest.mark.parametrize(
    "expression",
    [
        'up{job="engine"} == 0',
        "sum by (tier) (rate(gateway_objective_misses_total[5m]))",
        'histogram_quantile(0.95, sum by (le) (rate(vllm:e2e_request_latency_seconds_bucket{le!="+Inf"}[5m])))',
        "tier:own:increase5m > 1",
    ],
)
def test_what_something_exposes_or_a_rule_records_may_be_read(expression: str) -> None:
    check(expression, frozenset({"tier:own:increase5m"}), EVERY)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("rate(gateway_objective_mises_total[5m])", "nothing exposes gateway_objective_mises_total"),
        ("up == 0 and absent(gateway_nothing)", "nothing exposes gateway_nothing"),
        ("vllm:e2e_request_latency_seconds > 1", "nothing exposes vllm:e2e_request_latency_seconds"),
        ('gateway_events_total{teir="edge"}', "gateway_events_total has no label teir"),
        ("tier:own:increase5m > 1", "nothing exposes tier:own:increase5m"),
        ("sum by (", "sum by ("),
    ],
)
def test_anything_else_is_refused_with_its_name(expression: str, words: str) -> None:
    with pytest.raises(QueryError) as refused:
        check(expression, frozenset(), EVERY)
    assert words in str(refused.value)


def test_a_metric_of_an_exporter_that_is_not_there_is_refused() -> None:
    with pytest.raises(QueryError, match="nothing exposes pg_up"):
        check("pg_up", frozenset(), EVERY - {Source.POSTGRES})


def test_ranges_and_matchers_are_read_wherever_they_stand() -> None:
    found = readings('max_over_time(rate(a_total{x="1"}[5m])[1h:1m]) / on (x) b{y=~"c|d"}')
    assert [(one.name, dict(one.matchers), one.seconds) for one in found] == [
        ("a_total", {"x": "1"}, 300),
        ("b", {"y": "c|d"}, None),
    ]


def test_one_unknown_metric_stops_every_rule_and_the_command_says_which(spec: Spec) -> None:
    def misspelt(_: Spec) -> tuple[Group, ...]:
        return (Group("own", 15, recordings=(Recording("own:sum", "sum(gateway_evnts_total)"),)),)

    with pytest.raises(CommandError) as told, queries_checked():
        families(spec, {**FAMILIES, "own": misspelt})
    assert told.value.exit_code == 4
    assert "nothing was written: nothing exposes gateway_evnts_total: sum(gateway_evnts_total)" in str(told.value)


def test_rules_of_an_exporter_that_the_spec_does_not_name_are_left_out(spec: Spec) -> None:
    alone = spec.model_copy(update={"alerting": spec.alerting.model_copy(update={"exporters": ()})})
    group = Group("own", 15, recordings=(Recording("own:up", "sum(pg_up)"), Recording("own:all", "sum(up)")))
    kept = replace(group, recordings=group.recordings[1:])
    assert families(alone, {"own": lambda _: (group,)}) == {"own": (kept,)}
    assert families(spec, {"own": lambda _: (group,)}) == {"own": (group,)}
