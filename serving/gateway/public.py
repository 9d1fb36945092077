"""The public port: which path is answered by what."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from serving.contract import REQUEST_ID_HEADER
from serving.gateway import control, errors
from serving.gateway.asgi import App, Receive, Scope, Send, header, send_body, send_json
from serving.gateway.body import ClientLeft
from serving.gateway.errors import Problem
from serving.gateway.inference import REQUEST_ID
from serving.gateway.metrics import CONTENT_TYPE, render
from serving.gateway.worker import Worker

DOCS = (Path(__file__).parent / "docs.html").read_bytes()
_HTML = (b"content-type", b"text/html; charset=utf-8")
_NO_SCRIPTS_FROM_ELSEWHERE = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
)
MODELS = "/v1/models/"

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


def public_app(worker: Worker) -> App:
    """The application of the public port."""
    handlers = _handlers(worker)
    paths = {path for _, path in handlers}
    inference = {("POST", task.path): partial(worker.inference.serve, task) for task in worker.config.tasks}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        key = (scope["method"], scope["path"])
        serve = inference.get(key)
        if serve is not None:
            await serve(scope, receive, send)
            return
        given = header(scope, REQUEST_ID_HEADER.encode())
        known = given is not None and REQUEST_ID.fullmatch(given.encode())
        request_id = given if given and known else uuid.uuid4().hex
        headers = [(REQUEST_ID_HEADER.encode(), request_id.encode())]
        try:
            handler = handlers.get(key)
            if handler is None:
                handler = _other(worker, scope, paths | {path for _, path in inference})
            await handler(scope, receive, send)
        except Problem as e:
            worker.counters.refused[e.limit or e.code] += 1
            await send_body(send, e.status, e.body(), headers=[*headers, *e.headers()])
        except ClientLeft:
            return
        except Exception as e:  # noqa: BLE001 - the outermost edge; uvicorn would log the fault's words
            worker.log.fault(time.time(), request_id, e)
            await send_body(send, 500, errors.unexpected().body(), headers=headers)

    return app


def _other(worker: Worker, scope: Scope, paths: set[str]) -> Handler:
    """Paths with a part that varies, and those that do not exist. Raises Problem."""
    path: str = scope["path"]
    if path.startswith(MODELS) and scope["method"] == "GET":
        wanted = path.removeprefix(MODELS)
        for model in worker.models():
            if wanted in (model["id"], model["tier"]):
                return _says(model)
        raise errors.unknown_model([str(model["id"]) for model in worker.models()])
    raise errors.method_not_allowed() if path in paths else errors.not_found()


def _handlers(worker: Worker) -> dict[tuple[str, str], Handler]:
    async def health(scope: Scope, receive: Receive, send: Send) -> None:
        status, body = worker.snapshot_health()
        await send_json(send, status, body)

    async def metrics(scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, 200, render(worker.collector), CONTENT_TYPE)

    async def models(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"object": "list", "data": worker.models()})

    async def status(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, worker.status())

    async def openapi(scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, 200, worker.openapi)

    async def docs(scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, 200, DOCS, _HTML, [_NO_SCRIPTS_FROM_ELSEWHERE])

    return {
        ("GET", "/v1/models"): models,
        ("GET", "/api/v1/health"): health,
        ("GET", "/api/v1/metrics"): metrics,
        ("GET", "/api/v1/models"): models,
        ("GET", "/api/v1/status"): status,
        ("GET", "/openapi.json"): openapi,
        ("GET", "/docs"): docs,
        ("POST", "/api/admin/models/deploy"): _guarded(worker, control.deploy),
        ("POST", "/api/admin/models/rollback"): _guarded(worker, control.rollback),
        ("GET", "/api/admin/usage/stats"): _guarded(worker, control.usage_stats),
        ("GET", "/api/admin/health/detailed"): _guarded(worker, control.health_detailed),
    }


def _guarded(worker: Worker, serve: Callable[[Worker, Scope, Receive, Send], Awaitable[None]]) -> Handler:
    """For the holder of the admin key alone."""

    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        control.require_admin(scope, worker.secrets.admin_key)
        await serve(worker, scope, receive, send)

    return handler


def _says(content: object) -> Handler:
    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, content)

    return handler
