"""The controller's API against a real PostgreSQL: what it accepts, what it refuses, and what it does only once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.server


async def test_of_two_starts_at_once_one_is_refused(service: Any, tmp_path: Path) -> None:
    await service.register("v1", tmp_path / "v1")
    await service.register("v2", tmp_path / "v2")
    answers = await asyncio.gather(
        *(service.call("POST", "/v1/rollouts", {"release": name}) for name in ("v1", "v2", "v1", "v2"))
    )
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409]
    started = next(body for status, body in answers if status == 201)
    for status, body in answers:
        if status == 409:
            assert started["id"] in body["error"]["message"]
    assert [r["id"] for r in (await service.call("GET", "/v1/rollouts"))[1]["rollouts"]] == [started["id"]]


async def test_a_repeated_idempotency_key_gets_the_same_answer_and_acts_once(service: Any, tmp_path: Path) -> None:
    await service.register("v1", tmp_path / "v1")
    first = await service.call("POST", "/v1/rollouts", {"release": "v1"}, idempotency_key="k1")
    assert first[0] == 201
    again = await service.call("POST", "/v1/rollouts", {"release": "v1"}, idempotency_key="k1")
    assert again == first
    assert len((await service.call("GET", "/v1/rollouts"))[1]["rollouts"]) == 1


async def test_a_key_sent_twice_at_once_acts_once_and_both_get_its_answer(service: Any, tmp_path: Path) -> None:
    await service.register("v1", tmp_path / "v1")
    body = {"release": "v1"}
    answers = await asyncio.gather(
        *(service.call("POST", "/v1/rollouts", body, idempotency_key="k1") for _ in range(5))
    )
    assert [status for status, _ in answers] == [201] * 5
    assert len({answer["id"] for _, answer in answers}) == 1


async def test_a_refusal_is_kept_by_its_key_too(service: Any, tmp_path: Path) -> None:
    first = await service.call("POST", "/v1/rollouts", {"release": "v1"}, idempotency_key="k1")
    assert first[0] == 404
    await service.register("v1", tmp_path / "v1")
    assert await service.call("POST", "/v1/rollouts", {"release": "v1"}, idempotency_key="k1") == first


async def test_a_key_reused_for_something_else_is_refused(service: Any, tmp_path: Path) -> None:
    await service.register("v1", tmp_path / "v1")
    assert (await service.call("POST", "/v1/rollouts", {"release": "v1"}, idempotency_key="k1"))[0] == 201
    for path, body in (("/v1/rollouts", {"release": "v2"}), ("/v1/tiers/production/rollback", {"to": "v1"})):
        status, answer = await service.call("POST", path, body, idempotency_key="k1")
        assert (status, answer["error"]["code"]) == (422, "key_reused")


BAD_BODIES = (
    ("/v1/rollouts", b"{"),
    ("/v1/rollouts", b"[]"),
    ("/v1/rollouts", b"\xff\xfe"),
    ("/v1/rollouts", b""),
    ("/v1/rollouts", b'{"release": 7}'),
    ("/v1/rollouts", b'{"release": "v1", "weight": 50}'),
    ("/v1/rollouts", b'{"release": "v\\u00001"}'),
    ("/v1/rollouts", b'{"release": "v\\ud8001"}'),
    ("/v1/tiers/production/rollback", b'{"reason": "\\u0000"}'),
    ("/v1/releases", b'{"name": "v1"}'),
    ("/v1/releases", b'{"name": "../v1", "tier": "production", "engine": "vllm", "model": "/m"}'),
    ("/v1/releases", b'{"name": "", "tier": "production", "engine": "vllm", "model": "/m"}'),
    ("/v1/releases", b'{"name": "v1", "tier": "production", "engine": "vllm", "model": "/m", "arguments": "-x"}'),
)


async def test_a_body_that_makes_no_sense_is_a_bad_request(service: Any) -> None:
    for path, raw in BAD_BODIES:
        status, answer = await service.call("POST", path, raw=raw)
        assert (status, answer["error"]["code"]) == (400, "bad_request"), (raw, answer)


async def test_a_bad_query_is_a_bad_request(service: Any) -> None:
    for query in ("count=-1", "count=x", "count=1001", "count=%C2%B2", "count=" + "9" * 5000, "tier=%00"):
        status, answer = await service.call("GET", f"/v1/rollouts?{query}")
        assert (status, answer["error"]["code"]) == (400, "bad_request"), query


async def test_without_the_admin_key_nothing_is_answered_but_health(service: Any) -> None:
    for authorization in ("", "Bearer", "Bearer wrong", "Basic YTpi", "Bearer schlüssel"):
        for method, path in (("GET", "/v1/tiers"), ("POST", "/v1/rollouts"), ("GET", "/v1/nowhere")):
            status, answer = await service.call(method, path, {}, authorization=authorization)
            assert (status, answer["error"]["code"]) == (401, "unauthorised"), authorization
        assert (await service.call("GET", "/health", authorization=authorization))[1]["status"] == "leading"


async def test_who_acts_must_be_said(service: Any, tmp_path: Path) -> None:
    await service.register("v1", tmp_path / "v1")
    for actor in ("", " ", "x" * 201):
        status, answer = await service.call("POST", "/v1/rollouts", {"release": "v1"}, x_actor=actor)
        assert (status, answer["error"]["code"]) == (400, "bad_request")


async def test_what_is_not_there_is_not_found(service: Any) -> None:
    for method, path, body in (
        ("POST", "/v1/rollouts", {"release": "v9"}),
        ("GET", "/v1/releases/v9", None),
        ("POST", "/v1/releases/v9/verify", {}),
        ("GET", "/v1/rollouts/r9", None),
        ("GET", "/v1/rollouts/r9/journal", None),
        ("GET", "/v1/rollouts/r9/looks", None),
        ("POST", "/v1/rollouts/r9/pause", {}),
        ("POST", "/v1/rollouts/r9/explode", {}),
        ("POST", "/v1/tiers/nowhere/rollback", {}),
        ("PUT", "/v1/freezes/nowhere", {"reason": "x"}),
        ("GET", "/v2/anything", None),
    ):
        status, answer = await service.call(method, path, body)
        assert status == 404, (path, answer)
        assert answer["error"]["message"]


async def test_a_body_too_large_is_refused_as_such(service: Any) -> None:
    body = {"release": "x" * 300_000}
    for headers in ({}, {"idempotency_key": "k1"}):
        status, answer = await service.call("POST", "/v1/rollouts", body, **headers)
        assert status == 413, answer
        assert "error" in answer


async def test_an_idempotency_key_that_cannot_be_kept_is_a_bad_request(service: Any) -> None:
    for key in ("k" * 201, "ключ"):
        status, answer = await service.call("POST", "/v1/rollouts", {"release": "v1"}, idempotency_key=key)
        assert (status, answer["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("moment", ["yesterday", "nan", "inf", ""])
async def test_a_log_since_no_moment_is_refused(service: Any, moment: str) -> None:
    status, body = await service.call("GET", f"/v1/journal?since={moment}")
    assert (status, body["error"]["message"]) == (400, "since must be Unix seconds")
