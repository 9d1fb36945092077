"""Where alerts arrive, asked of amtool: each severity and category at its receiver, and nothing at none."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.adapters.spec_file import load_spec
from ops.alerting.files import ALERTMANAGER, files
from ops.alerting.inhibiting import TIER_OUTAGE, WATCHDOG, inhibitions
from ops.alerting.integrations import every
from ops.alerting.model import Severity
from ops.alerting.routing import configuration
from ops.alerting.rules import alerts
from ops.spec.alerting import Alerting
from ops.spec.receiving import AlertRoute, AlertWebhook, Receivers

from .conftest import ROOT

AMTOOL_SECONDS_MAX = 20


def _amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = ["amtool", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=AMTOOL_SECONDS_MAX, check=False)


def _receiver(config: Path, *labels: str) -> str:
    done = _amtool("config", "routes", "test", f"--config.file={config}", *labels)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def config(alerting: Alerting, tmp_path: Path) -> Path:
    path = tmp_path / "alertmanager.yml"
    path.write_text(configuration(alerting), encoding="utf-8")
    return path


def test_amtool_accepts_the_configuration(config: Path) -> None:
    done = _amtool("check-config", str(config))
    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout


def test_each_category_arrives_where_its_severity_goes(alerting: Alerting, config: Path) -> None:
    categories = alerting.categories.model_dump()
    assert set(categories) == {one.value for one in Severity}
    for severity, names in categories.items():
        for category in names:
            assert _receiver(config, "alertname=Any", f"severity={severity}", f"category={category}") == severity


def test_the_watchdog_has_a_receiver_of_its_own_whatever_its_severity(config: Path) -> None:
    for severity in Severity:
        assert _receiver(config, "alertname=Watchdog", f"severity={severity.value}") == "heartbeat"


def test_an_alert_without_a_known_severity_goes_to_those_who_are_paged(config: Path) -> None:
    assert _receiver(config, "alertname=Strange") == "critical"
    assert _receiver(config, "alertname=Strange", "severity=urgent") == "critical"


def test_a_route_of_a_category_comes_before_that_of_its_severity(alerting: Alerting, tmp_path: Path) -> None:
    special = AlertRoute(
        severity="critical",
        categories=("security-incident",),
        receivers=("tickets",),
        grouping=alerting.routes[0].grouping,
    )
    changed = alerting.model_copy(update={"routes": (*alerting.routes, special)})
    path = tmp_path / "alertmanager.yml"
    path.write_text(configuration(changed), encoding="utf-8")
    assert _receiver(path, "severity=critical", "category=security-incident") == "critical-security-incident"
    assert _receiver(path, "severity=critical", "category=service-downtime") == "critical"
    assert _receiver(path, "severity=warning", "category=security-incident") == "warning"


def test_every_receiver_of_a_route_is_in_its_integrations_and_secrets_are_files(alerting: Alerting) -> None:
    found = yaml.safe_load(configuration(alerting, "/run/secrets"))
    by_name: dict[str, dict[str, Any]] = {one["name"]: one for one in found["receivers"]}
    critical = by_name["critical"]
    assert critical["pagerduty_configs"][0]["routing_key_file"] == "/run/secrets/pagerduty-routing-key"
    assert critical["slack_configs"][0]["api_url_file"] == "/run/secrets/slack-url"
    assert by_name["warning"]["email_configs"][0]["auth_password_file"] == "/run/secrets/smtp-password"
    heartbeat = by_name["heartbeat"]["webhook_configs"][0]
    assert heartbeat["http_config"]["authorization"]["credentials_file"] == "/run/secrets/heartbeat-token"
    assert by_name["info"] == {"name": "info"}


def test_receivers_that_are_left_out_leave_their_route(alerting: Alerting) -> None:
    found = yaml.safe_load(configuration(alerting, kept=("tickets",)))
    assert [set(one) for one in found["receivers"]] == [{"name"}, {"name"}, {"name", "email_configs"}, {"name"}]


def test_a_webhook_whose_address_is_a_secret_has_it_in_a_file(alerting: Alerting) -> None:
    hook = AlertWebhook(name="dead-mans-switch", url_file="heartbeat-url")
    receivers = alerting.receivers.model_copy(update={"webhook": (hook,)})
    found = yaml.safe_load(configuration(alerting.model_copy(update={"receivers": receivers})))
    settings = {"send_resolved": True, "url_file": "/etc/gratefulgpt/alerting/heartbeat-url"}
    assert found["receivers"][0]["webhook_configs"] == [settings]


def test_every_kind_of_receiver_is_rendered(alerting: Alerting) -> None:
    kinds = {type(one).__name__ for one in every(alerting.receivers)}
    assert len(kinds) == len(Receivers.model_fields)


def test_the_committed_configuration_is_the_specs() -> None:
    spec = load_spec(ROOT / "gratefulgpt.yaml")
    assert files(spec)[ALERTMANAGER] == (ROOT / ALERTMANAGER).read_text(encoding="utf-8")


def test_labels_that_routes_group_by_are_no_more_than_alerts_can_have(alerting: Alerting) -> None:
    for route in alerting.routes:
        assert set(route.grouping.by) <= {"tier", "category", "instance", "alertname"}
        assert route.severity == "critical" or "tier" in route.grouping.by


def test_nothing_inhibits_the_watchdog(alerting: Alerting) -> None:
    rules = yaml.safe_load(configuration(alerting))["inhibit_rules"]
    assert rules
    for rule in rules:
        assert 'alertname!="Watchdog"' in rule["target_matchers"]


def test_each_alert_that_an_inhibition_names_exists() -> None:
    names = {alert.name for alert in alerts(load_spec(ROOT / "gratefulgpt.yaml"))}
    matchers = (one for rule in inhibitions() for one in (*rule.sources, *rule.targets) if one.startswith("alertname"))
    named = {name for one in matchers for name in one.split('"')[1].split("|")}
    assert {TIER_OUTAGE, WATCHDOG} <= named
    assert named <= names


def test_each_category_that_an_inhibition_names_is_one_of_the_specs(alerting: Alerting) -> None:
    known = {name for names in alerting.categories.model_dump().values() for name in names}
    matchers = (one for rule in inhibitions() for one in (*rule.sources, *rule.targets) if one.startswith("category"))
    named = {name for one in matchers for name in one.split('"')[1].split("|")}
    assert "missed-target" in named
    assert named <= known


def test_each_alert_arrives_where_its_severity_goes(config: Path) -> None:
    for alert in alerts(load_spec(ROOT / "gratefulgpt.yaml")):
        labels = (f"alertname={alert.name}", f"severity={alert.severity.value}", f"category={alert.category}")
        wanted = "heartbeat" if alert.name == WATCHDOG else alert.severity.value
        assert _receiver(config, *labels) == wanted
