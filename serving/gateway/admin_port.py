"""A worker's own port: routing tables, counters, metrics, health. Paths and bodies are the contract's."""

from __future__ import annotations

import re
import time

from yarl import URL

from serving.contract import (
    ADMIN_COUNTERS_PATH,
    ADMIN_HEALTH_PATH,
    ADMIN_ROUTES_PATH,
    METRICS_PATH,
    Ack,
    ForceStable,
    Renewal,
    RoutingTable,
)
from serving.gateway import errors
from serving.gateway.asgi import App, Receive, Scope, Send, send_body, send_json
from serving.gateway.body import ClientLeft
from serving.gateway.control import HEALTH_PATH, USAGE_PATH, read_struct, require_admin
from serving.gateway.errors import Problem
from serving.gateway.metrics import CONTENT_TYPE, render
from serving.gateway.worker import Worker

_RELEASE = re.compile(r"[\x21-\x7e]{1,200}")
"""A release's name goes into a header."""


def admin_app(worker: Worker) -> App:
    """The application of the admin port."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await _serve(worker, scope, receive, send)
        except Problem as e:
            await send_body(send, e.status, e.body(), headers=e.headers())
        except OSError as e:
            worker.log.event(time.time(), "state_not_saved", type=type(e).__name__)
            problem = Problem(500, "state_not_saved", "the state folder cannot be written; the table was not taken")
            await send_body(send, problem.status, problem.body())
        except ClientLeft:
            return
        except Exception as e:  # noqa: BLE001 - the outermost edge; uvicorn would log the fault's words
            worker.log.fault(time.time(), "", e)
            await send_body(send, 500, errors.unexpected().body())

    return app


async def _serve(worker: Worker, scope: Scope, receive: Receive, send: Send) -> None:
    method, path = scope["method"], scope["path"]
    if method == "GET" and path == ADMIN_HEALTH_PATH:
        status = 503 if worker.life.draining else 200
        await send_json(send, status, {"status": "draining" if worker.life.draining else "ok"})
        return
    if method == "GET" and path == METRICS_PATH:
        await send_body(send, 200, render(worker.collector), CONTENT_TYPE)
        return
    require_admin(scope, worker.secrets.admin_key)
    if method == "GET":
        await send_json(send, 200, _read(worker, path))
        return
    ack = await _change(worker, scope, receive)
    await send_json(send, 409 if ack.refusal else 200, ack)


def _read(worker: Worker, path: str) -> object:
    if path == ADMIN_ROUTES_PATH:
        return worker.routes.state()
    if path == ADMIN_COUNTERS_PATH:
        return worker.counters.snapshot(worker.settings.worker, worker.instance, time.time())
    if path == USAGE_PATH:
        return worker.usage()
    if path == HEALTH_PATH:
        return worker.health()
    raise errors.not_found()


async def _change(worker: Worker, scope: Scope, receive: Receive) -> Ack:
    method, path = scope["method"], scope["path"]
    tier, _, act = path.removeprefix(ADMIN_ROUTES_PATH + "/").partition("/")
    if not path.startswith(ADMIN_ROUTES_PATH + "/") or (method, act) not in (
        ("PUT", ""),
        ("POST", "renew"),
        ("POST", "stable"),
    ):
        raise errors.not_found()
    if tier not in worker.config.tiers:
        raise Problem(404, "unknown_tier", f"no such tier; there are {', '.join(sorted(worker.config.tiers))}")
    limits = worker.config.limits
    if act == "renew":
        renewal: Renewal = await read_struct(scope, receive, limits, Renewal)
        return worker.routes.renew(tier, renewal)
    if act == "stable":
        force: ForceStable = await read_struct(scope, receive, limits, ForceStable)
        if tier not in worker.routes.held:
            raise errors.no_release(tier)
        worker.log.event(time.time(), "forced_stable", tier=tier, actor=force.actor, reason=force.reason)
        return await worker.routes.force_stable(tier, force)
    table: RoutingTable = await read_struct(scope, receive, limits, RoutingTable)
    _check(worker, tier, table)
    ack = await worker.routes.push(table)
    fields = {"tier": tier, "epoch": table.epoch, "refusal": ack.refusal}
    worker.log.event(time.time(), "table_pushed", **fields)
    return ack


def _check(worker: Worker, tier: str, table: RoutingTable) -> None:
    """Raises Problem 400 for a table that this worker could not serve."""
    faults = []
    if table.tier != tier:
        faults.append("the table is of another tier than the path")
    for route in table.routes:
        if not _RELEASE.fullmatch(route.release):
            faults.append(f"{route.arm}: a release's name has 1 to 200 visible ASCII characters")
        if route.template_version not in worker.inference.catalogue.versions:
            known = ", ".join(sorted(worker.inference.catalogue.versions))
            faults.append(f"{route.arm}: template version {route.template_version} is not here; there is {known}")
        faults.extend(
            f"{route.arm}: the URL of replica {endpoint.replica} is not http(s)"
            for endpoint in route.endpoints
            if not _is_http(endpoint.url)
        )
    if faults:
        raise Problem(400, "bad_table", "; ".join(faults))


def _is_http(url: str) -> bool:
    try:
        parsed = URL(url)
    except ValueError:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


