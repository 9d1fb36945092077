"""The alerts' benchmark: its traffic is what an incident says, and many services at once are each as alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.alerts import traffic
from benchmarks.alerts.evaluating import Firing, PromtoolError, firings
from benchmarks.alerts.incidents import Incident, Trouble, incidents
from benchmarks.alerts.replaying import replay_all
from benchmarks.alerts.tables import missed_targets, quantile

OUTAGE = Incident("all fail", 60, 4, (Trouble(0, 4, failed=1),), seed=3)
QUIET = Incident("nothing", 60, 4, (), pages=False, seed=4)


def _final(incident: Incident, objective: str, what: str) -> int:
    for selector, values in traffic.series(incident, "r", 5, 1):
        if f'objective="{objective}"' in selector and what in selector and 'tier="production"' in selector:
            return int(values.split()[-1].split("+")[0])
    raise AssertionError(objective)


def test_there_are_more_than_two_hundred_incidents_each_with_a_seed_of_its_own() -> None:
    every = incidents(1)
    assert len(every) > 200
    assert len({one.seed for one in every}) == len(every)


def test_a_failed_request_misses_every_target_and_a_late_one_is_no_failure() -> None:
    late = replace(OUTAGE, troubles=(Trouble(0, 4, late=1),))
    assert _final(OUTAGE, "availability", "misses") == pytest.approx(4 * 60, abs=60)
    assert _final(OUTAGE, "latency", "misses") >= _final(OUTAGE, "availability", "misses")
    assert _final(late, "latency", "misses") > 150
    assert _final(late, "availability", "misses") < 10


def test_misses_never_exceed_requests() -> None:
    troubled = [one for one in incidents(5) if any(trouble.tier == "production" for trouble in one.troubles)]
    for one in troubled[::9]:
        for objective in ("availability", "latency", "first_token", "token_interval", "goodput"):
            assert _final(one, objective, "misses") <= _final(one, objective, "requests")


def test_a_worker_that_is_not_scraped_is_stale_and_comes_back_with_its_counts() -> None:
    unseen = replace(QUIET, unseen=(0,))
    made = dict(traffic.series(unseen, "r", 1, 1))
    assert [text for selector, text in made.items() if selector.startswith("up")] == ["1+0x3 0+0x15 1+0x3"]
    counters = [text for selector, text in made.items() if "requests_total" in selector]
    assert counters
    assert all(text.count(" stale _x15 ") == 1 for text in counters)


def test_a_quantile_counts_what_never_came_as_latest() -> None:
    assert quantile([3, 1, None, 2], 0.5) == 2
    assert quantile([1, None, None], 0.5) is None
    assert quantile([], 0.5) is None
    assert quantile(np.arange(1, 21).tolist(), 0.95) == 19


def test_a_result_with_a_late_outage_two_pages_and_a_false_page_misses_its_targets() -> None:
    one = {"row": "all fail, 5/min", "kind": "all fail", "seed": 1, "paged_minutes": 4.0, "reset_minutes": 11.0,
           "pages": 2, "should_page": True}  # fmt: skip
    false = {**one, "row": "blip", "kind": "blip", "pages": 1, "reset_minutes": 1.0, "should_page": False}
    quiet = {"ours": [{"pages": 1, "days": 360, "per_minute": 1}]}
    found = "\n".join(missed_targets({"incidents": {"ours": [one, false]}, "quiet": quiet}))
    for words in ("wanted 2", "wanted 3", "after 11.0 minutes", "2 pages", "should not", "quiet days"):
        assert words in found


@pytest.mark.server
def test_a_service_whose_alert_fires_holds_none_of_anothers() -> None:
    """The second's share is between the one at which an alert ends and the one at which it begins."""
    late = replace(OUTAGE, kind="all late", minutes=10, troubles=(Trouble(0, 10, late=1),))
    nearly = replace(late, kind="a fifth late", troubles=(Trouble(0, 10, late=0.2),), pages=False, seed=5)
    assert [one.pages for one in replay_all([late, nearly], "ours", 1)] == [1, 0]


@pytest.mark.server
def test_an_outage_pages_soon_and_once_alone_and_among_others() -> None:
    alone = replay_all([OUTAGE], "ours", 1)
    among = replay_all([OUTAGE, QUIET], "ours", 1)
    assert alone == [one for one in among if one.seed == OUTAGE.seed]
    (outage,) = alone
    assert outage.pages == 1
    assert outage.paged_minutes is not None
    assert outage.paged_minutes < 2
    assert {one.pages for one in among if one.seed == QUIET.seed} == {0}


@pytest.mark.server
def test_rules_that_promtool_cannot_read_are_an_error_and_no_silence(tmp_path: Path) -> None:
    with pytest.raises(PromtoolError):
        firings(tmp_path, "bad", "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]", (), 15, (15,))


@pytest.mark.server
def test_the_timeline_is_that_of_the_alert(tmp_path: Path) -> None:
    rules = "groups: [{name: a, rules: [{alert: A, expr: 'x > 1', labels: {severity: critical}}]}]"
    series = [('x{tier="t"}', "0 2 2 0 0")]
    found = firings(tmp_path, "x", rules, series, 15, [0, 15, 30, 45])
    labels = {"__name__": "ALERTS", "alertname": "A", "alertstate": "firing", "severity": "critical", "tier": "t"}
    assert found == [Firing(15, labels), Firing(30, labels)]
