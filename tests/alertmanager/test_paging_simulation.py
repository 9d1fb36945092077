"""The benchmark's simulation of paging beside a real Alertmanager: the same pages of the same alerts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.alerts.paging import pages
from ops.alerting.inhibiting import inhibitions
from ops.alerting.routing import configuration
from ops.spec.alerting import Alerting
from ops.spec.receiving import AlertWebhook, Grouping, Receivers

from .servers import alertmanager, receiver

GROUPING = Grouping(by=("tier",), wait_seconds=3, interval_seconds=6, repeat_seconds=3600)
"""By tier, so that every scenario is a group of its own; flushes are due 3, 9 and 15 s after a group's first alert."""
STEP_SECONDS, STEPS = 0.5, 40
OUTAGE = {"alertname": "TierOutage", "severity": "critical", "category": "service-downtime"}
ERRORS = {"alertname": "HighErrorRate", "severity": "critical", "category": "high-error-rate"}
SLOW = {"alertname": "SlowAnswers", "severity": "critical", "category": "missed-target"}


@dataclass(frozen=True)
class Span:
    labels: Mapping[str, str]
    begin: float
    end: float


SCENARIOS: Mapping[str, tuple[tuple[Span, ...], int]] = {
    # name, which is the tier; what fires from when to when; how often the pager rings
    "steady": ((Span(OUTAGE, 0, 20),), 1),
    "many": ((Span(SLOW, 0, 20), Span(ERRORS, 1, 20), Span(OUTAGE, 5, 20)), 1),
    "short": ((Span(ERRORS, 0, 1.5),), 0),
    "back-soon": ((Span(ERRORS, 0, 5), Span(ERRORS, 7, 20)), 1),
    "back-late": ((Span(ERRORS, 0, 5), Span(ERRORS, 11, 20)), 2),
    "milder-later": ((Span(OUTAGE, 0, 5), Span(SLOW, 1, 20)), 1),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_simulation_rings_as_often_as_it_should(name: str) -> None:
    assert len(_simulated(name)) == SCENARIOS[name][1]


@pytest.mark.server
def test_a_real_alertmanager_rings_as_often_as_the_simulation_says(alerting: Alerting, tmp_path: Path) -> None:
    with receiver() as told:
        hook = AlertWebhook(name="critical", url=f"{told.url}/critical")
        routes = tuple(
            route.model_copy(
                update={"receivers": ("critical",) if route.severity == "critical" else (), "grouping": GROUPING}
            )
            for route in alerting.routes
        )
        heartbeat = alerting.heartbeat.model_copy(update={"receivers": ()})
        changed = {"receivers": Receivers(webhook=(hook,)), "routes": routes, "heartbeat": heartbeat}
        config = tmp_path / "alertmanager.yml"
        config.write_text(configuration(alerting.model_copy(update=changed), str(tmp_path)), encoding="utf-8")
        with alertmanager(config) as running:
            begun = time.monotonic()
            for step in range(STEPS):
                time.sleep(max(0.0, begun + step * STEP_SECONDS - time.monotonic()))  # the scenario's own pace
                running.send(_all_at(step * STEP_SECONDS))
        rung = dict.fromkeys(SCENARIOS, 0)
        open_groups: set[str] = set()
        for one in told.at("/critical"):
            tier = one.body["groupLabels"]["tier"]
            if one.body["status"] == "firing" and tier not in open_groups:
                rung[tier] += 1
                open_groups.add(tier)
            elif one.body["status"] == "resolved":
                open_groups.discard(tier)
    assert rung == {name: len(_simulated(name)) for name in SCENARIOS}


def _simulated(name: str) -> list[float]:
    spans, _ = SCENARIOS[name]
    timeline = [
        (now, [{**span.labels, "tier": name} for span in spans if span.begin <= now < span.end])
        for now in (step * STEP_SECONDS for step in range(STEPS))
    ]
    return pages(timeline, GROUPING, inhibitions())


def _all_at(now: float) -> list[tuple[dict[str, str], bool]]:
    """Labels, and whether they fire; what has ended is told as ended, as Prometheus does."""
    found: dict[tuple[str, str], tuple[dict[str, str], bool]] = {}
    for tier, (spans, _) in SCENARIOS.items():
        for span in spans:
            if span.begin <= now:
                key = (tier, span.labels["alertname"])
                firing = span.begin <= now < span.end or found.get(key, ({}, False))[1]
                found[key] = ({**span.labels, "tier": tier}, firing)
    return list(found.values())
