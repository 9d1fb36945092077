"""The client against a server that fails: what it tries again, what it never repeats, what it says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import stamina
from aiohttp import web

from ops.adapters.controller_client import ControllerClient, ControllerError, ControllerUnavailable
from ops.rollout.operating import ReleaseRequest

pytestmark = pytest.mark.server

Serving = Callable[[web.Application], AbstractAsyncContextManager[str]]


class Scripted:
    """Answers with the given statuses and bodies, one after the other, the last for ever; keeps what it was asked."""

    def __init__(self, *answers: tuple[int, str]):
        self._answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.raw_path, dict(request.headers)))
        status, body = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return web.Response(status=status, text=body, content_type="application/json")

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app


def _error(message: str) -> str:
    return json.dumps({"error": {"code": "some", "message": message}})


@pytest.fixture(autouse=True)
async def at_once() -> AsyncIterator[None]:
    """Tries again without a pause, as often as ever."""
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


async def test_a_controller_that_cannot_work_now_is_asked_again_with_the_same_key(served: Serving) -> None:
    checked = '{"ok": true, "reason": "1 files as registered"}'
    server = Scripted((503, _error("no database")), (503, _error("not leading")), (200, checked))
    async with served(server.app()) as url, ControllerClient(url, "key", actor="jo") as client:
        assert (await client.verify_release("v1")).ok
    assert len(server.asked) == 3
    keys = {headers["idempotency-key"] for _, _, headers in server.asked}
    assert len(keys) == 1
    assert {headers["x-actor"] for _, _, headers in server.asked} == {"jo"}
    assert {headers["Authorization"] for _, _, headers in server.asked} == {"Bearer key"}


async def test_it_gives_up_after_a_few_tries_with_the_controllers_own_words(served: Serving) -> None:
    server = Scripted((503, _error("this controller does not lead")))
    async with served(server.app()) as url, ControllerClient(url, "key") as client:
        with pytest.raises(ControllerUnavailable, match="does not lead"):
            await client.tiers()
    assert len(server.asked) == 4


async def test_a_refusal_is_not_tried_again(served: Serving) -> None:
    server = Scripted((409, _error("releases are frozen")))
    async with served(server.app()) as url, ControllerClient(url, "key") as client:
        with pytest.raises(ControllerError, match="releases are frozen") as caught:
            await client.start("v1", None)
    assert caught.value.status == 409
    assert not isinstance(caught.value, ControllerUnavailable)
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (500, "Internal"), (200, '{"tiers": 7}'), (502, "{}")])
async def test_an_answer_that_is_none_of_ours_is_an_error(served: Serving, status: int, body: str) -> None:
    server = Scripted((status, body))
    async with served(server.app()) as url, ControllerClient(url, "key") as client:
        with pytest.raises(ControllerError, match=f"answered {status} with something else"):
            await client.tiers()


async def test_nobody_at_the_address_is_said_with_the_mend() -> None:
    async with ControllerClient("http://127.0.0.1:1", "key") as client:
        with pytest.raises(ControllerUnavailable, match=r"no controller answers at http://127\.0\.0\.1:1.*ops stack"):
            await client.rollouts()


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://[1", "http://127.0.0.1:x", ""])
async def test_an_address_that_is_none_is_said_at_once(url: str) -> None:
    async with ControllerClient(url, "key") as client:
        with pytest.raises(ControllerError, match="is no address of a controller"):
            await client.rollouts()


async def test_odd_names_stay_within_their_part_of_the_address(served: Serving) -> None:
    server = Scripted((404, _error("not there")))
    async with served(server.app()) as url, ControllerClient(url, "key") as client:
        for call in (client.release("a/../b?c#d"), client.rollout("é %2e"), client.releases("x&y=z")):
            with pytest.raises(ControllerError, match="not there"):
                await call
    assert [path for _, path, _ in server.asked] == [
        "/v1/releases/a%2F..%2Fb%3Fc%23d",
        "/v1/rollouts/%C3%A9%20%252e",
        "/v1/releases?tier=x%26y%3Dz",
    ]


async def test_the_client_reads_all_that_the_controller_answers(
    service: Any, tmp_path: Path, admin_key: str
) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "weights.bin").write_bytes(b"v1")
    service.replicas.ready = True
    async with ControllerClient(service.url, admin_key, actor="jo") as client:
        request = ReleaseRequest("v1", "production", "simulated", str(tmp_path / "v1"), arguments=("--seed", "7"))
        release = await client.add_release(request)
        assert (release.created_by, [file.path for file in release.files]) == ("jo", ["weights.bin"])
        assert await client.release("v1") == release
        assert await client.releases() == await client.releases("production") == [release]
        assert (await client.verify_release("v1")).ok
        started = await client.start("v1", None)
        await service.reaches(started.id, "promoted")
        rollout = await client.rollout(started.id)
        assert await client.rollouts("production", 1) == [rollout]
        assert await client.looks(started.id) == []
        lines = await client.journal(started.id)
        assert {line.rollout for line in lines} == {started.id}
        assert await client.journal(started.id, lines[-1].seq) == []
        tiers = await client.tiers()
        assert tiers["production"].tier.stable is not None
        assert tiers["production"].tier.stable.release == release
        await client.freeze("edge", "a fair")
        assert [one["tier"] for one in await client.freezes()] == ["edge"]
        assert (await client.tiers())["edge"].frozen == "a fair"
        assert [await client.lift_freeze("edge", ""), await client.lift_freeze("edge", "")] == [True, False]
        with pytest.raises(ControllerError, match="has ended") as caught:
            await client.command(started.id, "pause")
        assert caught.value.status == 409
    async with ControllerClient(service.url, "wrong") as stranger:
        with pytest.raises(ControllerError, match="admin key") as caught:
            await stranger.tiers()
        assert caught.value.status == 401
