"""Whether a server has what was written: every part of a rule counts, spelling does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.alerting.loading import LoadedRule, configuration_not_loaded, rules_not_loaded

FILES = {
    "a.yml": """
groups:
- name: outages
  interval: 15s
  rules:
  - alert: TierOutage
    expr: sum by (tier) (a) / sum by (tier) (b) > 0.9
    for: 1m
    keep_firing_for: 3m
    labels: {severity: critical}
    annotations: {summary: "hardly any answer "}
"""
}
LOADED = LoadedRule(
    file="/etc/prometheus/rules/a.yml",
    group="outages",
    interval_seconds=15,
    name="TierOutage",
    expression="sum by(tier) (a)   / sum by (tier)(b) > 0.9",
    for_seconds=60,
    keep_firing_seconds=180,
    labels={"severity": "critical"},
    annotations={"summary": "hardly any answer"},
)


def test_a_rule_in_the_servers_spelling_is_loaded() -> None:
    others = replace(LOADED, file="/etc/prometheus/rules/others.yml", name="Other")
    assert rules_not_loaded(FILES, [LOADED, others]) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"expression": "sum by (tier) (a) / sum by (tier) (b) > 0.8"},
        {"for_seconds": 61},
        {"keep_firing_seconds": 0},
        {"interval_seconds": 60},
        {"labels": {"severity": "warning"}},
        {"annotations": {}},
        {"group": "other"},
    ],
)
def test_a_rule_that_differs_anywhere_is_not_loaded(changed: dict[str, object]) -> None:
    found = rules_not_loaded(FILES, [replace(LOADED, **changed)])  # type: ignore[arg-type]
    assert len(found) == 2
    assert found[0] == "a.yml: TierOutage of group outages is not loaded"


def test_a_rule_that_is_lacking_and_one_too_many_are_told() -> None:
    assert rules_not_loaded(FILES, []) == ["a.yml: TierOutage of group outages is not loaded"]
    more = replace(LOADED, name="Former")
    assert rules_not_loaded(FILES, [LOADED, more]) == [
        "a.yml: Former of group outages is loaded, and is not of the file"
    ]


WANTED = """
route: {receiver: a, group_by: [tier], routes: [{receiver: b, matchers: ['x="1"', 'y="2"']}]}
receivers: [{name: a, webhook_configs: [{url: "http://a", html: ""}]}, {name: b}]
"""
HELD = """
global: {resolve_timeout: 5m}
route:
  receiver: a
  group_by: [tier]
  continue: false
  routes: [{receiver: b, continue: false, matchers: ['y="2"', 'x="1"']}]
receivers: [{name: a, webhook_configs: [{url: <secret>, max_alerts: 0}]}, {name: b}]
"""


def test_defaults_order_of_matchers_and_hidden_secrets_are_no_difference() -> None:
    assert configuration_not_loaded(WANTED, HELD) == []


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("receiver: b, continue", "receiver: c, continue", "route.routes[0].receiver"),
        ("group_by: [tier]", "group_by: [job]", "route.group_by[0]"),
        ("'x=\"1\"'", "'x=\"3\"'", "route.routes[0].matchers"),
        (", {name: b}]", "]", "receivers"),
    ],
)
def test_a_configuration_that_differs_is_told_with_its_place(old: str, new: str, place: str) -> None:
    assert old in HELD
    assert configuration_not_loaded(WANTED, HELD.replace(old, new)) == [place]
