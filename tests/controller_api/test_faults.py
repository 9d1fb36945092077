"""The API when the database is away, when another controller leads, and when leadership passes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.server


async def test_without_a_database_it_says_so_and_goes_on_when_it_is_back(
    start_service: Any, wire: Any, until: Any, tmp_path: Path
) -> None:
    await wire.mend()
    service = await start_service(url=wire.url)
    await service.leads()
    await service.register("v1", tmp_path / "v1")
    await wire.cut()
    for method, path, body in (("GET", "/v1/releases", None), ("POST", "/v1/rollouts", {"release": "v1"})):
        status, answer = await service.call(method, path, body, idempotency_key="k1")
        assert (status, answer["error"]["code"]) == (503, "no_database"), answer
    await until(lambda: service.controller.leadership is None, "it kept believing that it leads")
    health = (await service.call("GET", "/health"))[1]
    assert health["status"] == "standby"
    await wire.mend()
    await service.leads()
    # The failure was not kept: the same key may try again.
    status, answer = await service.call("POST", "/v1/rollouts", {"release": "v1"}, idempotency_key="k1")
    assert (status, answer["state"]) == (201, "preparing")


async def test_a_standby_reads_but_does_not_act_and_takes_over_when_the_leader_ends(
    start_service: Any, tmp_path: Path
) -> None:
    leader = await start_service("one")
    await leader.leads()
    await leader.register("v1", tmp_path / "v1")
    standby = await start_service("two")
    assert [one["name"] for one in (await standby.call("GET", "/v1/releases"))[1]["releases"]] == ["v1"]
    assert (await standby.call("GET", "/health"))[1]["status"] == "standby"
    status, answer = await standby.call("POST", "/v1/rollouts", {"release": "v1"}, idempotency_key="k1")
    assert (status, answer["error"]["code"]) == (503, "not_leading")
    term = leader.controller.leadership.term
    await leader.end()
    await standby.leads()
    assert standby.controller.leadership.term > term
    status, answer = await standby.call("POST", "/v1/rollouts", {"release": "v1"}, idempotency_key="k1")
    assert (status, answer["state"]) == (201, "preparing")
    assert (await leader.call("POST", "/v1/rollouts", {"release": "v1"}))[1]["error"]["code"] == "not_leading"
