"""What Prometheus reads from a controller, on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.alerting.catalogue import METRICS, SCRAPE_LABELS, Source
from ops.judge.model import Decision
from ops.rollout import metric_names as names
from ops.rollout.states import ENDED, State
from ops.rollout.telemetry import TickFailure

pytestmark = pytest.mark.server

Samples = dict[str, dict[frozenset[tuple[str, str]], float]]
"""By the sample's name, then by its labels."""


async def scrape(service: Any) -> Samples:
    """Without a key."""
    async with service.session.get(service.url + "/metrics") as answer:
        assert answer.status == 200
        text = await answer.text()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def one(found: Samples, name: str, **labels: str) -> float:
    return found[name][frozenset(labels.items())]


async def ticked(service: Any, until: Any) -> Samples:
    """A scrape after a whole pass over the tiers: the next may have begun before the call."""
    before = service.controller.telemetry.ticks

    def passed() -> bool:
        service.controller.wake()
        return bool(service.controller.telemetry.ticks > before + 1)

    await until(passed, "it does not tick")
    return await scrape(service)


async def test_a_leader_tells_of_itself_and_every_count_stands_at_0(service: Any, until: Any) -> None:
    found = await ticked(service, until)
    assert one(found, names.LEADER) == one(found, names.DATABASE_UP) == 1
    assert one(found, names.TERM) == service.controller.leadership.term
    assert one(found, f"{names.TICKS}_total") >= 1
    assert one(found, f"{names.TICK_SECONDS}_count") == one(found, f"{names.TICKS}_total")
    assert one(found, names.LAST_TICK) == pytest.approx(service.controller.telemetry.last_tick_at)
    assert found[f"{names.TICK_FAILURES}_total"] == {frozenset({("kind", kind.value)}): 0 for kind in TickFailure}
    tiers = service.controller.around.tiers
    assert found[f"{names.LOOKS}_total"] == {
        frozenset({("tier", tier), ("answer", answer.value)}): 0 for tier in tiers for answer in Decision
    }
    assert found[f"{names.ENDED}_total"] == {
        frozenset({("tier", tier), ("outcome", state.value)}): 0 for tier in tiers for state in ENDED
    }
    assert found[names.STATE] == {
        frozenset({("tier", tier), ("state", state)}): int(state == names.NO_ROLLOUT)
        for tier in tiers
        for state in (*(state.value for state in State), names.NO_ROLLOUT)
    }
    assert set(found[names.BLIND].values()) == set(found[names.STEP_WEIGHT].values()) == {0}
    assert one(found, names.FREEZE) == one(found, names.NOTIFICATIONS) == 0


async def test_a_standby_says_that_it_is_one_and_nothing_of_rollouts(service: Any, start_service: Any) -> None:
    standby = await start_service("two")
    found = await scrape(standby)
    assert one(found, names.LEADER) == one(found, names.TERM) == one(found, names.LAST_TICK) == 0
    assert [name for name in found if name.startswith("rollout_")] == []


async def test_a_rollout_is_seen_from_its_start_to_its_end(service: Any, until: Any, tmp_path: Path) -> None:
    await service.register("r1", tmp_path / "r1")
    status, rollout = await service.call("POST", "/v1/rollouts", {"release": "r1"})
    assert status == 201
    found = await ticked(service, until)
    states = {dict(key)["state"]: value for key, value in found[names.STATE].items() if ("tier", "production") in key}
    assert [state for state, value in states.items() if value] == ["preparing"]
    assert one(found, names.STARTED, tier="production") == pytest.approx(rollout["created_at"])
    service.replicas.ready = True
    await service.reaches(rollout["id"], "promoted")
    found = await ticked(service, until)
    assert one(found, f"{names.ENDED}_total", tier="production", outcome="promoted") == 1
    assert one(found, names.STATE, tier="production", state=names.NO_ROLLOUT) == 1
    assert found.get(names.STARTED, {}) == {}


async def test_a_freeze_is_seen(service: Any, until: Any) -> None:
    assert (await service.call("PUT", "/v1/freezes/edge", {"reason": "a fair"}))[0] == 200
    assert one(await ticked(service, until), names.FREEZE) == 1
    assert (await service.call("DELETE", "/v1/freezes/edge", {"reason": "over"}))[0] == 200
    assert one(await ticked(service, until), names.FREEZE) == 0


async def test_a_database_that_is_gone_is_seen_and_so_is_its_return(
    start_service: Any, wire: Any, until: Any
) -> None:
    await wire.mend()
    service = await start_service(url=wire.url)
    await service.leads()
    await wire.cut()

    async def up(wanted: int) -> bool:
        found = await scrape(service)
        return one(found, names.DATABASE_UP) == one(found, names.LEADER) == wanted

    await until(lambda: up(0), "it says that the database is there")
    await wire.mend()
    await until(lambda: up(1), "it says that the database is gone")


async def test_the_catalogue_has_the_controllers_metrics_with_their_labels(
    service: Any, until: Any, tmp_path: Path
) -> None:
    await service.register("r1", tmp_path / "r1")
    await service.call("POST", "/v1/rollouts", {"release": "r1"})
    found = await ticked(service, until)
    known = {series: metric for metric in METRICS if metric.source is Source.CONTROLLER for series in metric.series}
    for name, samples in found.items():
        if not name.startswith(("controller_", "rollout_")):
            continue
        assert name in known, name
        for labels in samples:
            assert {label for label, _ in labels} - SCRAPE_LABELS - {"le"} == known[name].labels, name
