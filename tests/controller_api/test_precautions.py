"""Before a canary starts, on a real PostgreSQL: what cannot detect what the spec demands is refused, and margins come
from the looks that are kept."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.margins import CELLS, past_rollout, told_at_a_step  # noqa: E402 - found through the line above
from ops.adapters.spec_file import load_spec  # noqa: E402
from ops.judge.imagining import Traffic  # noqa: E402
from ops.judge.model import Decision, Look  # noqa: E402
from ops.rollout.decided import Decided  # noqa: E402
from ops.rollout.planning import rollout_plan  # noqa: E402
from ops.rollout.states import State  # noqa: E402
from ops.store.rollouts import load, save  # noqa: E402
from ops.verdict import Outcome, Verdict  # noqa: E402
from serving.contract import Arm, BadEvent, CounterCell, CounterSnapshot  # noqa: E402

pytestmark = pytest.mark.server

TIER = "production"
TRAFFIC, CALIBRATION = f"/v1/tiers/{TIER}/traffic", f"/v1/tiers/{TIER}/calibration"


async def _stable(service: Any, folder: Path) -> None:
    for name in ("v1", "v2"):
        await service.register(name, folder / name)
    service.replicas.ready = True
    _, answer = await service.call("POST", "/v1/rollouts", {"release": "v1"})
    await service.reaches(answer["id"], "promoted")


def _watched(service: Any, requests: int, seconds: float) -> None:
    """The controller's two readings of one worker's counters."""
    for at, count in ((0.0, 0), (seconds, requests)):
        cell = CounterCell(TIER, Arm.STABLE, 1, "query", "p0o0", count, count, count, {})
        service.controller.traffic.read([CounterSnapshot("w1", "a", at, (cell,), ())], at)


async def _started(service: Any, rollout: str) -> dict[str, Any]:
    lines = (await service.call("GET", f"/v1/rollouts/{rollout}/journal"))[1]["lines"]
    return dict(lines[0]["entry"]["payload"])


async def test_too_little_traffic_for_what_the_spec_demands_refuses_a_start_until_that_is_accepted(
    service: Any, tmp_path: Path
) -> None:
    await _stable(service, tmp_path)
    _watched(service, requests=60, seconds=300.0)
    assert (await service.call("GET", TRAFFIC))[1]["traffic"]["requests_per_second"] == pytest.approx(0.2)
    status, answer = await service.call("POST", "/v1/rollouts", {"release": "v2"})
    assert (status, answer["error"]["code"]) == (409, "refused")
    assert "2 times as slow" in answer["error"]["message"]
    assert "--accept-blind-spots" in answer["error"]["message"]
    status, answer = await service.call("POST", "/v1/rollouts", {"release": "v2", "accept_blind_spots": True})
    assert status == 201, answer
    payload = await _started(service, answer["id"])
    assert payload["accepted_blind_spots"] is True
    assert payload["detection"]["outcome"] == "fail"


async def test_enough_traffic_starts_and_the_journal_says_what_it_can_detect(service: Any, tmp_path: Path) -> None:
    await _stable(service, tmp_path)
    _watched(service, requests=60_000, seconds=300.0)
    status, answer = await service.call("POST", "/v1/rollouts", {"release": "v2"})
    assert status == 201, answer
    payload = await _started(service, answer["id"])
    assert payload["detection"]["outcome"] == "pass"
    assert "accepted_blind_spots" not in payload


@pytest.mark.parametrize(("requests", "seconds"), [(0, 300.0), (5, 30.0)], ids=["none", "watched-too-briefly"])
async def test_where_no_traffic_was_seen_to_tell_from_a_start_goes_on(
    service: Any, tmp_path: Path, requests: int, seconds: float
) -> None:
    await _stable(service, tmp_path)
    _watched(service, requests, seconds)
    status, answer = await service.call("POST", "/v1/rollouts", {"release": "v2"})
    assert status == 201, answer
    assert (await _started(service, answer["id"]))["detection"]["outcome"] == "inconclusive"


async def _kept(service: Any, rollouts: int, sigma: float) -> None:
    """A/A rollouts with their looks, saved as the controller saves them."""
    database, term = service.controller.around.database, service.controller.leadership.term
    plan = rollout_plan(load_spec(ROOT / "gratefulgpt.yaml"), "development", TIER)
    tier = (await load(database, TIER)).tier
    answer = Look(Decision.HOLD, Verdict(Outcome.INCONCLUSIVE, ()), (), 0, 0)
    traffic = Traffic(40.0, CELLS, replica_sigma=sigma)
    for number in range(rollouts):
        told = told_at_a_step(plan, traffic, np.random.default_rng([5, number]), 30.0)
        record = past_rollout(plan, number, State.ROLLED_BACK, same=True)
        record = replace(record, release=replace(record.release, name="v1"))  # one that is registered
        for looks, one in enumerate(told, 1):
            decided = Decided(tier, replace(record, looks=looks), (), answer, one)
            await save(database, decided, term=term, now=one.at)


async def test_margins_come_from_the_kept_looks_and_are_frozen_into_the_rollout_with_their_source(
    service: Any, tmp_path: Path
) -> None:
    await _stable(service, tmp_path)
    assert all(not margin["enough"] for margin in (await service.call("GET", CALIBRATION))[1]["margins"])
    await _kept(service, rollouts=8, sigma=0.2)
    found = {margin["event"]: margin for margin in (await service.call("GET", CALIBRATION))[1]["margins"]}
    slow = found[BadEvent.SLOW]
    assert slow["enough"]
    assert slow["noise"]["sigma"] == pytest.approx(0.2, abs=0.06)
    assert slow["own"] < slow["calibrated"] < slow["harm"]
    status, answer = await service.call("POST", "/v1/rollouts", {"release": "v2"})
    assert status == 201, answer
    frozen = next(event for event in answer["plan"]["analysis"]["events"] if event["event"] == BadEvent.SLOW)
    assert frozen["margin"] == slow["calibrated"]
    assert frozen["margin_source"]["spec_margin"] == slow["own"]
    assert frozen["margin_source"]["blocks"] == slow["noise"]["blocks"]
    why = (await _started(service, answer["id"]))["margins"][BadEvent.SLOW]
    assert why["margin"] == slow["calibrated"]
    assert why["why"].startswith("replica noise 0.")
