"""Rollouts through the API, with a controller that carries them out: steered, frozen, refused, returned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.server


async def _start(service: Any, release: str) -> str:
    status, answer = await service.call("POST", "/v1/rollouts", {"release": release})
    assert status == 201, answer
    return str(answer["id"])


async def _stable(service: Any, folder: Path, name: str) -> None:
    await service.register(name, folder / name)
    service.replicas.ready = True
    await service.reaches(await _start(service, name), "promoted")


async def test_the_first_release_of_a_tier_becomes_stable_and_the_next_is_a_canary(
    service: Any, tmp_path: Path
) -> None:
    await _stable(service, tmp_path, "v1")
    tiers = (await service.call("GET", "/v1/tiers"))[1]["tiers"]
    assert tiers["production"]["tier"]["stable"]["release"]["name"] == "v1"
    assert tiers["research"]["tier"]["stable"] is None
    await service.register("v2", tmp_path / "v2")
    rollout = await _start(service, "v2")
    found = await service.reaches(rollout, "analysing")
    assert (found["strategy"], found["baseline_release"]["name"]) == ("canary", "v1")
    lines = (await service.call("GET", f"/v1/rollouts/{rollout}/journal"))[1]["lines"]
    assert [line["entry"]["to_state"] for line in lines if line["entry"]["to_state"]] == [
        "preparing",
        "warming",
        "analysing",
    ]
    assert lines[0]["entry"]["actor"] == "tester"
    later = (await service.call("GET", f"/v1/rollouts/{rollout}/journal?after={lines[0]['seq']}&count=1"))[1]["lines"]
    assert later == [lines[1]]


async def test_a_canary_is_paused_resumed_and_rolled_back_by_hand_with_actor_and_reason(
    service: Any, tmp_path: Path
) -> None:
    await _stable(service, tmp_path, "v1")
    await service.register("v2", tmp_path / "v2")
    rollout = await _start(service, "v2")
    await service.reaches(rollout, "analysing")
    for command, state in (("pause", "paused"), ("resume", "analysing"), ("rollback", "rolling_back")):
        status, answer = await service.call("POST", f"/v1/rollouts/{rollout}/{command}", {"reason": f"for {command}"})
        assert (status, answer["state"], answer["reason"]) == (200, state, f"for {command}")
    await service.reaches(rollout, "rolled_back")
    for command in ("pause", "resume", "promote", "rollback"):
        status, answer = await service.call("POST", f"/v1/rollouts/{rollout}/{command}", {})
        assert (status, answer["error"]["code"]) == (409, "refused")
    lines = (await service.call("GET", f"/v1/rollouts/{rollout}/journal"))[1]["lines"]
    by_hand = [line["entry"]["reason"] for line in lines if line["entry"]["actor"] == "tester"]
    assert by_hand[-3:] == ["for pause", "for resume", "for rollback"]


async def test_a_promoted_release_goes_back_to_the_one_before_and_to_a_named_one(service: Any, tmp_path: Path) -> None:
    await _stable(service, tmp_path, "v1")
    await service.register("v2", tmp_path / "v2")
    rollout = await _start(service, "v2")
    assert (await service.call("POST", f"/v1/rollouts/{rollout}/promote", {"reason": "known good"}))[0] == 200
    await service.reaches(rollout, "promoted")
    status, back = await service.call("POST", "/v1/tiers/production/rollback", {"reason": "users complain"})
    assert (status, back["release"]["name"], back["strategy"]) == (200, "v1", "direct")
    assert back["reused"], "v1's replicas still ran"
    await service.reaches(back["id"], "promoted")
    status, forth = await service.call("POST", "/v1/tiers/production/rollback", {"to": "v2"})
    assert (status, forth["release"]["name"]) == (200, "v2")
    await service.reaches(forth["id"], "promoted")


async def test_without_an_earlier_release_there_is_no_way_back(service: Any, tmp_path: Path) -> None:
    await _stable(service, tmp_path, "v1")
    status, answer = await service.call("POST", "/v1/tiers/production/rollback", {})
    assert (status, answer["error"]["code"]) == (409, "refused")
    status, answer = await service.call("POST", "/v1/tiers/production/rollback", {"to": "v1"})
    assert status == 409
    assert "stable release of production already" in answer["error"]["message"]


async def test_a_freeze_bars_the_start_and_not_the_way_back(service: Any, tmp_path: Path) -> None:
    await _stable(service, tmp_path, "v1")
    await service.register("v2", tmp_path / "v2")
    rollout = await _start(service, "v2")
    assert (await service.call("PUT", "/v1/freezes/production", {}))[0] == 400
    assert (await service.call("PUT", "/v1/freezes/production", {"reason": "Black Friday"}))[0] == 200
    status, answer = await service.call("POST", f"/v1/rollouts/{rollout}/promote", {})
    assert status == 409
    assert "Black Friday" in answer["error"]["message"]
    assert (await service.call("POST", f"/v1/rollouts/{rollout}/rollback", {}))[0] == 200
    await service.reaches(rollout, "rolled_back")
    status, answer = await service.call("POST", "/v1/rollouts", {"release": "v2"})
    assert status == 409
    assert "Black Friday" in answer["error"]["message"]
    frozen = (await service.call("GET", "/v1/freezes"))[1]["freezes"]
    assert [(one["tier"], one["reason"], one["actor"]) for one in frozen] == [
        ("production", "Black Friday", "tester")
    ]
    for lifted in (True, False):
        assert (await service.call("DELETE", "/v1/freezes/production", {}))[1]["lifted"] is lifted
    assert (await service.call("POST", "/v1/rollouts", {"release": "v2"}))[0] == 201


async def test_a_release_whose_file_was_changed_on_disk_is_refused_before_it_serves(
    service: Any, tmp_path: Path
) -> None:
    await _stable(service, tmp_path, "v1")
    await service.register("v2", tmp_path / "v2")
    assert (await service.call("POST", "/v1/releases/v2/verify", {}))[1]["ok"] is True
    (tmp_path / "v2" / "weights.bin").write_bytes(b"v2, tampered with")
    checked = (await service.call("POST", "/v1/releases/v2/verify", {}))[1]
    assert checked["ok"] is False
    assert "weights.bin" in checked["reason"]
    found = await service.reaches(await _start(service, "v2"), "refused")
    assert "weights.bin" in found["reason"]
    assert all("v2" not in spec.model_path for spec in service.replicas.declared["production"])


async def test_a_release_is_never_changed_and_needs_its_files(service: Any, tmp_path: Path) -> None:
    await service.register("v1", tmp_path / "v1")
    body = {"name": "v1", "tier": "production", "engine": "simulated", "model": str(tmp_path / "v1")}
    assert (await service.call("POST", "/v1/releases", body))[0] == 409
    (tmp_path / "empty").mkdir()
    for change, status in (
        ({"engine": "abacus"}, 409),
        ({"tier": "nowhere"}, 404),
        ({"model": str(tmp_path / "absent")}, 409),
        ({"model": str(tmp_path / "empty")}, 409),
        ({"model": "relative/folder"}, 409),
        ({"model": "s3://bucket/model"}, 409),
    ):
        answered, answer = await service.call("POST", "/v1/releases", {**body, "name": "v2", **change})
        assert answered == status, (change, answer)
    assert [one["name"] for one in (await service.call("GET", "/v1/releases"))[1]["releases"]] == ["v1"]
    assert (await service.call("GET", "/v1/releases?tier=research"))[1]["releases"] == []
