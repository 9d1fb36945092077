"""Webhooks: each transition arrives, again and again until it is accepted, up to a bound."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web

from ops.adapters import notifier
from ops.adapters.annotations import RECEIVER, Annotations
from ops.rollout.clocks import read_clocks
from ops.rollout.record import Clock

pytestmark = pytest.mark.server


class Receiver:
    """Refuses each delivery a few times, then accepts it."""

    def __init__(self, refusals: int):
        self._refusals = refusals
        self.tries: dict[str, int] = {}
        self.accepted: list[tuple[str, dict[str, Any]]] = []

    async def receive(self, request: web.Request) -> web.Response:
        delivery = request.headers["x-delivery-id"]
        self.tries[delivery] = self.tries.get(delivery, 0) + 1
        payload = await request.json()
        if self.tries[delivery] <= self._refusals:
            raise web.HTTPServiceUnavailable
        self.accepted.append((delivery, payload))
        return web.Response(status=204)

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/hook/a-secret-of-the-chat", self.receive)])
        return app


async def test_a_receiver_that_refuses_twice_gets_each_transition_once_accepted(
    start_service: Any, served: Any, until: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver = Receiver(refusals=2)
    async with served(receiver.app()) as url:
        urls = {"chat": f"{url}/hook/a-secret-of-the-chat"}
        service = await start_service(webhooks=urls)
        await service.leads()
        task = asyncio.create_task(notifier.notify(service.controller, service.session, urls))
        try:
            await service.register("v1", tmp_path / "v1")
            started = (await service.call("POST", "/v1/rollouts", {"release": "v1"}))[1]
            await until(lambda: len(receiver.accepted) == 1, lambda: f"tries: {receiver.tries}")
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=30)
    ((delivery, payload),) = receiver.accepted
    assert receiver.tries == {delivery: 3}
    assert payload["schema"] == "gratefulgpt.transition/1"
    assert (payload["rollout"], payload["to_state"], payload["actor"]) == (started["id"], "preparing", "tester")
    assert payload["tier"] == "production"
    logged = capsys.readouterr()
    assert "webhook_failed" in logged.out
    assert "a-secret-of-the-chat" not in logged.out + logged.err


async def test_where_the_clock_is_put_back_by_an_hour_a_receiver_that_refused_hears_within_seconds(
    start_service: Any, served: Any, until: Any, tmp_path: Path
) -> None:
    receiver, put_by = Receiver(refusals=1), [0.0]

    def clocks() -> tuple[float, Clock]:
        now, clock = read_clocks()
        return now + put_by[0], Clock(clock.boot, clock.ahead_seconds + put_by[0])

    async with served(receiver.app()) as url:
        urls = {"chat": f"{url}/hook/a-secret-of-the-chat"}
        service = await start_service(webhooks=urls)
        await service.leads()
        task = asyncio.create_task(notifier.notify(service.controller, service.session, urls, clocks))
        try:
            await service.register("v1", tmp_path / "v1")
            assert (await service.call("POST", "/v1/rollouts", {"release": "v1"}))[0] == 201
            await until(lambda: bool(receiver.tries), "it was never tried")
            put_by[0] = -3600.0
            await until(lambda: len(receiver.accepted) == 1, lambda: f"tries: {receiver.tries}")
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=30)


async def test_deliveries_outlive_the_controller_and_one_receiver_does_not_hold_up_another(
    start_service: Any, served: Any, until: Any, tmp_path: Path, database_url: str
) -> None:
    receiver = Receiver(refusals=0)
    async with served(receiver.app()) as url:
        names = {"dead": "http://127.0.0.1:1/", "gone": "", "chat": f"{url}/hook/a-secret-of-the-chat"}
        first = await start_service("one", webhooks=names)
        await first.leads()
        await first.register("v1", tmp_path / "v1")
        assert (await first.call("POST", "/v1/rollouts", {"release": "v1"}))[0] == 201
        await first.end()
        assert not receiver.accepted
        second = await start_service("two", webhooks=names)
        await second.leads()
        urls = {name: address for name, address in names.items() if address}
        task = asyncio.create_task(notifier.notify(second.controller, second.session, urls))
        try:
            await until(lambda: bool(receiver.accepted), "the transition was lost with its controller")
            await until(lambda: "gone" in _given_up(database_url), "a webhook that is gone is tried for ever")
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=30)
    assert [payload["to_state"] for _, payload in receiver.accepted] == ["preparing"]
    assert "dead" not in _given_up(database_url)


def _given_up(database_url: str) -> dict[str, str]:
    """The error of each webhook whose delivery was given up."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT webhook, error FROM deliveries WHERE done_at IS NOT NULL AND error <> ''"
        ).fetchall()
    return dict(rows)


async def test_a_transition_is_drawn_into_grafana(start_service: Any, served: Any, until: Any, tmp_path: Path) -> None:
    told: list[tuple[str | None, dict[str, Any]]] = []

    async def annotate(request: web.Request) -> web.Response:
        told.append((request.headers.get("authorization"), await request.json()))
        if len(told) == 1:
            raise web.HTTPServiceUnavailable
        return web.json_response({"message": "Annotation added", "id": 1})

    app = web.Application()
    app.add_routes([web.post("/grafana/api/annotations", annotate)])
    async with served(app) as url:
        grafana = Annotations(f"{url}/grafana/", "gratefulgpt", "glsa_secret")
        service = await start_service(webhooks={RECEIVER: ""})
        await service.leads()
        task = asyncio.create_task(
            notifier.notify(service.controller, service.session, {}, annotations=grafana)
        )
        try:
            await service.register("v1", tmp_path / "v1")
            started = (await service.call("POST", "/v1/rollouts", {"release": "v1"}))[1]
            await until(lambda: len(told) == 2, lambda: f"told: {told}")
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=30)
    (first, second) = told
    assert first == second
    token, content = first
    assert token == "Bearer glsa_secret"
    assert content["tags"] == ["gratefulgpt", "rollout", "production", "preparing"]
    assert started["id"] in content["text"]
    assert content["time"] > 1_000_000_000_000
    assert "glsa_secret" not in repr(grafana)
