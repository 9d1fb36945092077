"""Incidents at a real Alertmanager: what the receivers get of many alerts that fire together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.alerting.routing import configuration
from ops.spec.alerting import Alerting
from ops.spec.receiving import AlertWebhook, Receivers

from .servers import Alertmanager, Receiver, alertmanager, receiver, wait_until

pytestmark = pytest.mark.server

WAIT_SECONDS = 1
"""Stands for the routes' wait: alerts are posted at once, not within an evaluation."""
OUTAGE = {"severity": "critical", "category": "service-downtime"}
ERRORS = {"alertname": "ErrorBudgetBurn", "severity": "critical", "category": "high-error-rate", "tier": "production"}
SLOW = {"alertname": "SlowAnswers", "severity": "warning", "category": "performance-degradation", "tier": "production"}
TIER_OUTAGE = {"alertname": "TierOutage", "tier": "production", **OUTAGE}


@pytest.fixture
def told() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def running(alerting: Alerting, told: Receiver, tmp_path: Path) -> Iterator[Alertmanager]:
    """The reference's routes and inhibitions, with webhooks for receivers and shorter waits."""
    secret = tmp_path / "token"
    secret.write_text("s3cret", encoding="utf-8")
    hooks = tuple(AlertWebhook(name=n, url=f"{told.url}/{n}", token_file="token") for n in ("critical", "warning"))
    heartbeat = AlertWebhook(name="heartbeat", url=f"{told.url}/heartbeat")
    routes = tuple(
        route.model_copy(
            update={
                "receivers": tuple(hook.name for hook in hooks if hook.name == route.severity),
                "grouping": route.grouping.model_copy(update={"wait_seconds": WAIT_SECONDS}),
            }
        )
        for route in alerting.routes
    )
    changed = alerting.model_copy(
        update={
            "receivers": Receivers(webhook=(*hooks, heartbeat)),
            "routes": routes,
            "heartbeat": alerting.heartbeat.model_copy(update={"receivers": ("heartbeat",)}),
        }
    )
    config = tmp_path / "alertmanager.yml"
    config.write_text(configuration(changed, str(tmp_path)), encoding="utf-8")
    with alertmanager(config) as found:
        yield found


def _settled(running: Alertmanager, told: Receiver) -> None:
    """A later ticket of another tier has been told: whatever the first incident was to cause has come before."""
    running.fire({**SLOW, "alertname": "Late", "tier": "y"})
    wait_until(lambda: any("Late" in one.names for one in told.at("/warning")), "the later warning")


def _of_first(told: Receiver) -> list[set[str]]:
    return [one.names for one in told.got if one.body["commonLabels"].get("tier") != "y"]


def test_one_incident_with_many_alerts_pages_once(running: Alertmanager, told: Receiver) -> None:
    running.fire(TIER_OUTAGE, ERRORS, SLOW, {**ERRORS, "alertname": "Availability"}, {**SLOW, "alertname": "Queue"})
    wait_until(lambda: told.at("/critical"), "the page")
    _settled(running, told)
    assert _of_first(told) == [{"TierOutage"}]
    assert running.suppressed() == {"ErrorBudgetBurn", "SlowAnswers", "Availability", "Queue"}
    assert told.at("/critical")[0].authorization == "Bearer s3cret"


def test_an_outage_of_the_service_pages_once_for_all_tiers(running: Alertmanager, told: Receiver) -> None:
    tiers = [{**TIER_OUTAGE, "tier": tier} for tier in ("production", "research", "edge")]
    running.fire({"alertname": "ServiceOutage", **OUTAGE}, *tiers, ERRORS, {**SLOW, "tier": "edge"})
    wait_until(lambda: told.at("/critical"), "the page")
    wait_until(lambda: len(running.suppressed()) == 3, "the tiers' alerts are silent")
    assert [one.names for one in told.got] == [{"ServiceOutage"}]


def test_an_outage_of_one_tier_leaves_those_of_another_to_be_told(running: Alertmanager, told: Receiver) -> None:
    running.fire(TIER_OUTAGE, {**SLOW, "tier": "research"}, {**ERRORS, "tier": "edge"})
    wait_until(lambda: told.at("/critical") and told.at("/warning"), "a page and a ticket")
    each = [["ErrorBudgetBurn", "TierOutage"], ["SlowAnswers"]]
    assert sorted(sorted(one.names) for one in told.got) == each
    assert running.suppressed() == set()


def test_a_warning_without_a_tier_is_told_while_a_tier_is_critical(running: Alertmanager, told: Receiver) -> None:
    disk = {"alertname": "DiskFills", "severity": "warning", "category": "resource-pressure", "instance": "a"}
    running.fire(TIER_OUTAGE, disk)
    wait_until(lambda: told.at("/critical") and told.at("/warning"), "a page and a ticket")
    assert told.at("/warning")[0].names == {"DiskFills"}


def test_exhaustion_of_a_machine_silences_the_pressure_on_the_same_one(running: Alertmanager, told: Receiver) -> None:
    pressure = {"alertname": "MemoryPressure", "severity": "warning", "category": "resource-pressure"}
    full = {"alertname": "MemoryFull", "severity": "critical", "category": "resource-exhaustion", "instance": "a"}
    running.fire(full, {**pressure, "instance": "a"}, {**pressure, "instance": "b"})
    wait_until(lambda: told.at("/warning"), "the ticket")
    assert [one["labels"]["instance"] for one in told.at("/warning")[0].body["alerts"]] == ["b"]


def test_no_engine_at_all_pages_once_with_the_cause(running: Alertmanager, told: Receiver) -> None:
    gone = {"alertname": "NoEngine", "job": "engine", **OUTAGE}
    down = {"alertname": "EngineDown", "severity": "warning", "category": "performance-degradation", "job": "engine"}
    outage = {"alertname": "ServiceOutage", **OUTAGE}
    running.fire(gone, outage, TIER_OUTAGE, {**TIER_OUTAGE, "tier": "edge"}, *({**down, "instance": i} for i in "abc"))
    wait_until(lambda: told.at("/critical"), "the page")
    wait_until(lambda: len(running.suppressed()) == 3, "its consequences are silent")
    assert [one.names for one in told.got] == [{"NoEngine"}]


def test_an_engine_that_is_down_silences_its_own_pressure_alone(running: Alertmanager, told: Receiver) -> None:
    down = {"alertname": "EngineDown", "severity": "warning", "category": "performance-degradation", "instance": "a"}
    deep = {"alertname": "EngineQueueDeep", "severity": "warning", "category": "performance-degradation"}
    running.fire(down, {**deep, "instance": "a"}, {**deep, "instance": "b"})
    wait_until(lambda: told.at("/warning"), "the ticket")
    got = {(one["labels"]["alertname"], one["labels"]["instance"]) for one in told.at("/warning")[0].body["alerts"]}
    assert got == {("EngineDown", "a"), ("EngineQueueDeep", "b")}


def test_the_watchdog_reaches_its_own_receiver_and_no_other(running: Alertmanager, told: Receiver) -> None:
    running.fire({"alertname": "Watchdog", "severity": "info", "category": "deployment"}, TIER_OUTAGE)
    wait_until(lambda: told.at("/heartbeat") and told.at("/critical"), "heartbeat and page")
    assert {one.path for one in told.got if "Watchdog" in one.names} == {"/heartbeat"}
