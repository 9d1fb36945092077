"""The public API's admin side: deploy and rollback go on to the controller; usage and health are gathered here."""

from __future__ import annotations

import asyncio
import re
from hmac import compare_digest
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from serving.contract import ACTOR_HEADER, IDEMPOTENCY_HEADER, LimitsConfig
from serving.gateway import errors
from serving.gateway.asgi import Receive, Scope, Send, header, send_body, send_json
from serving.gateway.body import read_body
from serving.gateway.errors import Problem
from serving.gateway.worker import Worker

USAGE_PATH = "/admin/usage"
"""``GET`` on a worker's admin port (bearer admin key): what it answered since it started."""
HEALTH_PATH = "/admin/health"
"""``GET`` on a worker's admin port (bearer admin key): how full it is."""
CONTROLLER_TIMEOUT_SECONDS = 10.0
PEER_TIMEOUT_SECONDS = 2.0
_TOKEN = re.compile(r"[\x21-\x7e]{1,200}")


class Deploy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    release: str
    tier: str


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tier: str
    to: str | None = None
    """A release; absent: the one before."""
    reason: str = "asked for through the gateway"


def require_admin(scope: Scope, admin_key: str) -> None:
    """Raises Problem 401 unless the request carries the admin key."""
    given = header(scope, b"authorization") or ""
    # Both sides are compared whole, in constant time, whatever their lengths.
    if not compare_digest(given.encode(), f"Bearer {admin_key}".encode()):
        raise errors.unauthorised()


async def deploy(worker: Worker, scope: Scope, receive: Receive, send: Send) -> None:
    """Starts a rollout."""
    asked = await read_struct(scope, receive, worker.config.limits, Deploy)
    await _forward(worker, scope, send, "/v1/rollouts", asked)


async def rollback(worker: Worker, scope: Scope, receive: Receive, send: Send) -> None:
    """Goes back to a former release."""
    asked = await read_struct(scope, receive, worker.config.limits, Rollback)
    if asked.tier not in worker.config.tiers:
        raise Problem(404, "unknown_tier", f"no such tier; there are {', '.join(sorted(worker.config.tiers))}")
    await _forward(
        worker, scope, send, f"/v1/tiers/{asked.tier}/rollback", {"to": asked.to, "reason": asked.reason}
    )


async def usage_stats(worker: Worker, scope: Scope, receive: Receive, send: Send) -> None:
    """Requests and tokens by task and tier, over all workers that answered."""
    parts, missing = await _gather(worker, USAGE_PATH)
    seen = {part["instance"]: part for part in [worker.usage(), *parts]}
    total: dict[tuple[str, str], dict[str, int]] = {}
    for part in seen.values():
        for row in part["usage"]:
            sums = total.setdefault((row["task"], row["tier"]), {})
            for name, value in row.items():
                if name not in ("task", "tier"):
                    sums[name] = sums.get(name, 0) + value
    rows = [{"task": task, "tier": tier, **sums} for (task, tier), sums in sorted(total.items())]
    workers = sorted(part["worker"] for part in seen.values())
    await send_json(send, 200, {"usage": rows, "workers": workers, "workers_missing": missing})


async def health_detailed(worker: Worker, scope: Scope, receive: Receive, send: Send) -> None:
    """Workers, tiers and every engine, asked now. 200 also if parts are ill: the body says which."""
    (parts, missing), engines = await asyncio.gather(_gather(worker, HEALTH_PATH), _engines(worker))
    seen = {part["instance"]: part for part in [worker.health(), *parts]}
    workers = sorted(seen.values(), key=lambda part: str(part["worker"]))
    content = {
        "workers": workers,
        "workers_missing": missing,
        "tiers": worker.status()["tiers"],
        "engines": engines,
        "healthy": not missing and all(engine["healthy"] for engine in engines),
    }
    await send_json(send, 200, content)


async def read_struct(scope: Scope, receive: Receive, limits: LimitsConfig, kind: type[Any]) -> Any:
    """The body as a ``kind``. Raises Problem 400 and those of ``read_body``."""
    try:
        return msgspec.json.decode(await read_body(scope, receive, limits), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise errors.not_json(str(e) if isinstance(e, msgspec.DecodeError) else "not UTF-8, or too deep") from e


async def _forward(worker: Worker, scope: Scope, send: Send, path: str, body: object) -> None:
    key = header(scope, IDEMPOTENCY_HEADER.encode())
    if key is None or not _TOKEN.fullmatch(key):
        message = f"the header {IDEMPOTENCY_HEADER} is needed: up to 200 visible characters, the same for each retry"
        raise Problem(400, "idempotency_key_needed", message, param=IDEMPOTENCY_HEADER)
    if worker.settings.controller_url is None:
        raise Problem(503, "controller_absent", "this gateway was started without a controller")
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {worker.secrets.admin_key}",
        IDEMPOTENCY_HEADER: key,
        ACTOR_HEADER: header(scope, ACTOR_HEADER.encode()) or "gateway",
    }
    timeout = aiohttp.ClientTimeout(total=CONTROLLER_TIMEOUT_SECONDS)
    url = URL(worker.settings.controller_url + path)
    data = msgspec.json.encode(body)
    try:
        async with worker.session.post(url, data=data, headers=headers, timeout=timeout) as response:
            answer = await response.read()
            await send_body(send, response.status, answer)
    except (aiohttp.ClientError, TimeoutError) as e:
        message = "the controller does not answer; nothing is known to have changed: retry with the same key"
        raise Problem(503, "controller_unreachable", message, retry_after_seconds=5) from e


async def _gather(worker: Worker, path: str) -> tuple[list[Any], list[str]]:
    """What each peer says, and the peers that said nothing."""
    headers = {"Authorization": f"Bearer {worker.secrets.admin_key}"}

    async def ask(peer: str) -> Any:
        timeout = aiohttp.ClientTimeout(total=PEER_TIMEOUT_SECONDS)
        try:
            async with worker.session.get(URL(peer + path), headers=headers, timeout=timeout) as response:
                return msgspec.json.decode(await response.read()) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            return None

    peers = worker.settings.peers
    answers = await asyncio.gather(*map(ask, peers))
    missing = [peer for peer, answer in zip(peers, answers, strict=True) if answer is None]
    return [answer for answer in answers if answer is not None], missing


async def _engines(worker: Worker) -> list[dict[str, Any]]:
    async def ask(tier: str, arm: str, replica: str, url: str, in_flight: int) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=PEER_TIMEOUT_SECONDS)
        try:
            async with worker.session.get(URL(url + "/health"), timeout=timeout) as response:
                healthy = response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            healthy = False
        return {"tier": tier, "arm": arm, "replica": replica, "healthy": healthy, "in_flight": in_flight}

    asked = [
        ask(tier, arm, engine.replica, engine.url, engine.in_flight)
        for tier in worker.routes.held
        for arm, engine in worker.routes.engines(tier)
    ]
    return list(await asyncio.gather(*asked))
