"""The admin side of the public API, with a fake controller that is a real server; and the pages about the API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from serving import contract

pytestmark = pytest.mark.server


@pytest.fixture
async def controller() -> AsyncIterator[dict[str, Any]]:
    """Remembers what it was asked, and answers as a controller would."""
    seen: dict[str, Any] = {"requests": []}

    async def serve(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen["requests"].append((request.path, json.loads(await request.read()), headers))
        if request.path.endswith("/rollback"):
            return web.json_response({"error": "nothing to go back to"}, status=409)
        return web.json_response({"id": "rollout-1"}, status=201)

    app = web.Application()
    app.router.add_post("/{path:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    seen["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield seen
    finally:
        await runner.cleanup()


async def test_deploy_and_rollback_go_to_the_controller_with_key_and_actor(
    launcher: Any, controller: Any, tools: Any
) -> None:
    gateway = await launcher.start(None, "--controller-url", controller["url"])
    headers = {"authorization": f"Bearer {tools.admin_key}", "idempotency-key": "k-1", "x-actor": "someone"}
    deploy = {"release": "r2", "tier": "production"}
    status, _, body = await gateway.post("/api/admin/models/deploy", deploy, headers=headers)
    assert (status, body) == (201, {"id": "rollout-1"})
    back = {"tier": "production", "to": "r1", "reason": "slow"}
    status, _, body = await gateway.post("/api/admin/models/rollback", back, headers=headers)
    assert (status, body) == (409, {"error": "nothing to go back to"})
    (path, asked, told), (back_path, back_asked, _) = controller["requests"]
    assert (path, asked) == ("/v1/rollouts", deploy)
    assert (back_path, back_asked) == ("/v1/tiers/production/rollback", {"to": "r1", "reason": "slow"})
    names = ("idempotency-key", "x-actor", "authorization")
    assert [told[name] for name in names] == ["k-1", "someone", f"Bearer {tools.admin_key}"]
    for wrong in ({"release": "r2"}, {"release": "r2", "tier": "production", "force": True}):
        assert (await gateway.post("/api/admin/models/deploy", wrong, headers=headers))[0] == 400
    odd = {"tier": "../../freezes/production"}
    assert (await gateway.post("/api/admin/models/rollback", odd, headers=headers))[0] == 404
    assert len(controller["requests"]) == 2


async def test_what_is_missing_on_the_way_to_the_controller_is_said(launcher: Any, tools: Any) -> None:
    gateway = await launcher.start(None, "--controller-url", f"http://127.0.0.1:{tools.free_port()}")
    deploy = {"release": "r2", "tier": "production"}
    assert (await gateway.post("/api/admin/models/deploy", deploy))[0] == 401
    key = {"authorization": f"Bearer {tools.admin_key}"}
    status, _, body = await gateway.post("/api/admin/models/deploy", deploy, headers=key)
    assert (status, body["error"]["code"]) == (400, "idempotency_key_needed")
    whole = {**key, "idempotency-key": "k"}
    status, _, body = await gateway.post("/api/admin/models/deploy", deploy, headers=whole)
    assert (status, body["error"]["code"]) == (503, "controller_unreachable")


async def test_a_gateway_without_a_controller_says_so(gateway: Any, tools: Any) -> None:
    headers = {"authorization": f"Bearer {tools.admin_key}", "idempotency-key": "k"}
    status, _, body = await gateway.post("/api/admin/models/rollback", {"tier": "production"}, headers=headers)
    assert (status, body["error"]["code"]) == (503, "controller_absent")


async def test_detailed_health_asks_every_engine(gateway: Any, engine: Any, tools: Any) -> None:
    down = f"http://127.0.0.1:{tools.free_port()}"
    await gateway.push(tools.table([engine.url, down], epoch=gateway.epoch + 1))
    headers = {"authorization": f"Bearer {tools.admin_key}"}
    status, body = await gateway.get("/api/admin/health/detailed", headers=headers)
    assert status == 200
    assert {part["replica"]: part["healthy"] for part in body["engines"]} == {"stable-0": True, "stable-1": False}
    assert body["healthy"] is False
    assert body["workers"][0]["in_flight_max"] == 64


async def test_status_models_and_health_tell_what_is_served(
    gateway: Any, engine: Any, second_engine: Any, tools: Any
) -> None:
    epoch = gateway.epoch + 1
    await gateway.push(tools.table(engine.url, canary=second_engine.url, weight=500, epoch=epoch))
    status, body = await gateway.get("/api/v1/status")
    tier = body["tiers"]["production"]
    assert (status, tier["epoch"], tier["state"]) == (200, epoch, "active")
    assert [(arm["arm"], arm["release"], arm["weight_percent"]) for arm in tier["arms"]] == [
        ("stable", "r1", 95.0),
        ("canary", "r2", 5.0),
    ]
    assert (await gateway.get("/api/v1/health"))[1]["status"] == "ok"
    assert [model["id"] for model in (await gateway.get("/api/v1/models"))[1]["data"]] == [tools.model]


async def test_the_metrics_parse_and_agree_with_the_counters(gateway: Any, engine: Any) -> None:
    engine.behaviour = "500"
    await gateway.chat()
    engine.behaviour = "good"
    await gateway.chat(stream=True)
    async with gateway.session.get(gateway.admin_url + contract.METRICS_PATH) as answer:
        text = await answer.text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    named = [value for name, value in vars(contract).items() if name.startswith("METRIC_")]
    assert set(named) <= set(families)
    (cell,) = await gateway.cells()
    labels = {
        "tier": cell.tier,
        "arm": cell.arm.value,
        "epoch": str(cell.epoch),
        "task_class": cell.task_class,
        "stratum": cell.stratum,
    }

    def value(name: str, **more: str) -> float:
        return next(s.value for s in families[name].samples if s.labels == {**labels, **more})

    assert value(contract.METRIC_ASSIGNED) == cell.assigned == 2
    assert value(contract.METRIC_FINISHED) == cell.finished == 2
    assert value(contract.METRIC_STREAMED) == cell.streamed == 1
    assert value(contract.METRIC_BAD, event="failed") == cell.bad[contract.BadEvent.FAILED] == 1
    bounds = {s.labels["le"] for s in families[contract.METRIC_LATENCY].samples if "le" in s.labels}
    assert bounds == {"0.1", "0.5", "1.0", "2.0", "10.0", "+Inf"}


async def test_the_openapi_document_describes_every_path_and_its_page_needs_nothing_else(
    gateway: Any, tools: Any
) -> None:
    status, document = await gateway.get("/openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")
    paths = set(document["paths"])
    assert {task.path for task in tools.config().tasks} <= paths
    assert "/api/admin/models/deploy" in paths
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            assert operation["responses"]["200"]["description"]
            body = operation.get("requestBody")
            if body:
                jsonschema_rs.validator_for(body["content"]["application/json"]["schema"])
            if "{" not in path and verb == "get":
                key = {"authorization": f"Bearer {tools.admin_key}"}
                assert (await gateway.get(path, headers=key))[0] == 200, path
    async with gateway.session.get(gateway.url + "/docs") as answer:
        page = await answer.text()
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in page
    assert "https://" not in page
