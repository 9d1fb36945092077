"""Rollouts on a whole stack, looked back at: replayed from the database and from a file, and after somebody meddled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.rollout.states import State

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]


async def replayed(service: Any, what: object) -> tuple[int, dict[str, Any]]:
    code, out, err = await service.ops("canary", "replay", str(what), "--json")
    assert out, err
    return code, json.loads(out)


async def test_a_rollout_with_a_killed_worker_and_a_suspension_comes_out_as_it_was(
    service: Any, tmp_path: Path
) -> None:
    async with service.load():
        rollout = await service.start("replayed", seed=41)
        await service.analysed(rollout, step=0)
        service.kill("gateway-0")
        # A worker that has not heard of the canary again since it was killed holds no lease that could run out.
        await service.analysed(rollout, step=1)
        await service.kill_for_good("controller")
        await service.eventually(lambda: none_on_a_lease(service), "the leases do not run out")
        await service.back("controller")
        await service.reaches(rollout, State.ANALYSING, step=1)
        code, answer = await replayed(service, rollout.id)
        assert code == 0, answer  # while it runs
        await service.reaches(rollout, State.PROMOTED)
    journal = [line.entry.to_state for line in await service.client.journal(rollout.id)]
    assert "suspended" in journal
    looks = await service.client.looks(rollout.id)
    assert any(line.look.decision == "blind" for line in looks)
    code, answer = await replayed(service, rollout.id)
    assert (code, answer["verdict"]["outcome"]) == (0, "pass"), answer
    assert answer["looks"] == len(looks)

    page = tmp_path / "page.html"
    code, _, err = await service.ops("canary", "show", rollout.id, "--html", str(page))
    assert code == 0, err
    assert "suspended" in page.read_text()
    file = tmp_path / "rollout.json.gz"
    code, _, err = await service.ops("canary", "export", rollout.id, "-o", str(file))
    assert code == 0, err
    assert service.secrets.admin_key.encode() not in file.read_bytes()
    code, from_file = await replayed(service, file)
    assert (code, from_file) == (0, answer)


async def none_on_a_lease(service: Any) -> bool:
    return all(held.state == "lease_expired" for held in await service.tables())


async def test_a_rollback_comes_out_as_it_was_until_somebody_meddles_with_a_sample(service: Any) -> None:
    async with service.load():
        rollout = await service.start("replayed-bad", seed=42)
        await service.analysed(rollout, step=0)
        _, out, err = await service.ops("canary", "judge", rollout.id, "--timeout", "60", "--json")
        said = json.loads(out)
        assert said["verdict"] == "pass", err
        assert said["step"] >= 1
        # Held at its step, or it could be promoted before the harm shows; evidence of harm still rolls it back.
        await service.client.command(rollout.id, "pause", "so that the harm has time to show")
        await service.harm_canary(error_rate=1.0)

        async def judged_bad() -> bool:
            return (await service.ops("canary", "judge", rollout.id, "--once"))[0] == 1

        await service.eventually(judged_bad, "the judge does not find it bad")
        ended = await service.reaches(rollout, State.ROLLED_BACK)
    assert (await service.ops("canary", "judge", "--once"))[0] == 1
    status, body = await asked(service, f"/v1/rollouts/{rollout.id}/verdict")
    assert (status, body["verdict"], body["state"]) == (200, "fail", "rolled_back")
    assert (await asked(service, f"/v1/tiers/{service.tier}/verdict"))[1]["rollout"] == rollout.id
    code, answer = await replayed(service, rollout.id)
    assert code == 0, answer
    assert answer["verdict"]["evidence"][1]["values"]["roll_back"] == 1
    with psycopg.connect(service.state.database_url_with(service.secrets.database_password)) as connection:
        meddle = (
            "UPDATE looks SET snapshots = jsonb_set(snapshots, '{0,cells,0,assigned}', '999999') "
            "WHERE rollout = %s AND number = %s"
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="what was recorded stays as it was"):
            connection.execute(meddle, (rollout.id, ended.looks))
        connection.rollback()
        connection.execute("SET session_replication_role = replica")  # as the owner of the database can
        assert connection.execute(meddle, (rollout.id, ended.looks)).rowcount == 1
    code, answer = await replayed(service, rollout.id)
    assert code == 1
    assert f"look {ended.looks}: the samples are not those" in answer["verdict"]["evidence"][0]["text"]


async def asked(service: Any, path: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
    headers = {"authorization": f"Bearer {service.secrets.admin_key if key is None else key}"}
    async with service.session.get(service.state.controller_url + path, headers=headers) as response:
        return response.status, await response.json()


async def test_the_judge_says_clearly_why_it_cannot_be_asked(service: Any) -> None:
    for path, key, status, said in (
        ("/v1/rollouts/r0/verdict", None, 404, "no rollout r0"),
        ("/v1/tiers/proudction/verdict", None, 404, "no tier proudction"),
        (f"/v1/tiers/{service.tier}/verdict?step=9", None, 409, "has steps 1 to"),
        (f"/v1/tiers/{service.tier}/verdict?step=x", None, 400, "whole number"),
        (f"/v1/tiers/{service.tier}/verdict", "wrong", 401, "the admin key is missing or wrong"),
    ):
        found, body = await asked(service, path, key)
        assert (found, said in body["error"]["message"]) == (status, True), body
    for arguments, code, said in (
        (("r0", "--once"), 2, "no rollout r0"),
        (("r0",), 2, "no rollout r0"),
        (("--step", "9", "--once"), 2, "has steps 1 to"),
    ):
        ran = await service.ops("canary", "judge", *arguments)
        assert (ran[0], ran[1], said in ran[2]) == (code, "", True), ran
        assert len(ran[2].splitlines()) == 1
