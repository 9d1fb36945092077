"""The controller's HTTP API: a thin shell around ``ops.rollout.operating``.

All of ``/v1`` asks for the admin key. A POST with an idempotency key is carried out once: sent again with the same
body it gets the same answer. Errors are ``{"error": {"code", "message"}}``.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from math import isfinite, nan
from typing import Annotated, Any, TypeVar
from weakref import WeakValueDictionary

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ops.adapters import controller_metrics
from ops.rollout.commanding import CommandRefused
from ops.rollout.controlling import Controller
from ops.rollout.operating import Operations, ReleaseRequest
from ops.store.answers import KeptAnswer, keep_answer, kept_answer
from ops.store.decisions import Wanted, read_decisions
from ops.store.errors import Conflict, LostLeadership, NotFound, StoreError, StoreUnavailable
from ops.store.freezes import list_freezes
from ops.store.looks import read_recorded
from ops.store.rollouts import get_rollout, list_rollouts, read_journal, read_looks
from serving.contract import ACTOR_HEADER, IDEMPOTENCY_HEADER

T = TypeVar("T")

BODY_BYTES_MAX = 256 * 1024
LINES_MAX = 1000
RECORDED_MAX = 200
"""Looks with all that they were taken of are some kilobytes each."""
_DIGITS_MAX = 20
_KEY_CHARS_MAX = 200
_NULL_ESCAPED = b"\\u0000"
_OPEN_PATHS = ("/health", "/metrics")
"""Without a key: they tell of the controller's own state, and of nobody."""
_METRICS_HEADERS = {"content-type": controller_metrics.CONTENT_TYPE}
_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"

log = structlog.get_logger("controller_api")


class _Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    release: str
    tier: str | None = None
    accept_blind_spots: bool = False


class _Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str = ""


class _Return(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: str | None = None
    reason: str = ""


class _Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=_NAME_PATTERN)]
    tier: str
    engine: str
    model: str
    engine_version: str = ""
    arguments: tuple[str, ...] = ()
    template_version: Annotated[str, msgspec.Meta(pattern=_NAME_PATTERN)] = "v1"


def controller_app(controller: Controller, operations: Operations, admin_key: str) -> web.Application:
    """The API as an application; its routes are the table below."""
    api = _Api(controller, operations)
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_errors, _guard(admin_key), _once(controller)])
    app.add_routes(
        [
            web.get("/health", api.health),
            web.get("/metrics", api.metrics),
            web.post("/v1/releases", api.add_release),
            web.get("/v1/releases", api.releases),
            web.get("/v1/releases/{name}", api.release),
            web.post("/v1/releases/{name}/verify", api.verify_release),
            web.get("/v1/releases/{name}/transcript", api.transcript_status),
            web.post("/v1/releases/{name}/record", api.record_again),
            web.post("/v1/rollouts", api.start),
            web.get("/v1/rollouts", api.rollouts),
            web.get("/v1/rollouts/{id}", api.rollout),
            web.get("/v1/rollouts/{id}/journal", api.journal),
            web.get("/v1/rollouts/{id}/looks", api.looks),
            web.get("/v1/rollouts/{id}/recorded", api.recorded),
            web.get("/v1/rollouts/{id}/verdict", api.verdict),
            web.post("/v1/rollouts/{id}/{command:pause|resume|promote|rollback}", api.command),
            web.get("/v1/journal", api.decisions),
            web.get("/v1/tiers", api.tiers),
            web.get("/v1/tiers/{tier}/verdict", api.tier_verdict),
            web.get("/v1/tiers/{tier}/traffic", api.traffic),
            web.get("/v1/tiers/{tier}/calibration", api.calibration),
            web.post("/v1/tiers/{tier}/rollback", api.roll_back_tier),
            web.get("/v1/freezes", api.freezes),
            web.put("/v1/freezes/{tier}", api.freeze),
            web.delete("/v1/freezes/{tier}", api.lift_freeze),
        ]
    )
    return app


class _Api:
    def __init__(self, controller: Controller, operations: Operations):
        self._controller = controller
        self._database = controller.around.database
        self._operations = operations

    async def health(self, request: web.Request) -> web.Response:
        leadership = self._controller.leadership
        state = {
            "status": "leading" if leadership else "standby",
            "holder": self._controller.holder,
            "term": leadership.term if leadership else None,
            "ticked_at": self._controller.ticked_at,
            "trouble": self._controller.trouble,
        }
        return _json(state)

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=controller_metrics.render(self._controller), headers=_METRICS_HEADERS)

    async def add_release(self, request: web.Request) -> web.Response:
        body = await _body(request, _Release)
        release = await self._operations.add_release(ReleaseRequest(**msgspec.structs.asdict(body)), _actor(request))
        return _json(release, 201)

    async def releases(self, request: web.Request) -> web.Response:
        return _json({"releases": await self._operations.releases(request.query.get("tier"))})

    async def release(self, request: web.Request) -> web.Response:
        return _json(await self._operations.release(request.match_info["name"]))

    async def verify_release(self, request: web.Request) -> web.Response:
        return _json(await self._operations.verify_release(request.match_info["name"]))

    async def transcript_status(self, request: web.Request) -> web.Response:
        return _json(await self._operations.transcript_status(request.match_info["name"]))

    async def record_again(self, request: web.Request) -> web.Response:
        return _json(await self._operations.record_again(request.match_info["name"]))

    async def start(self, request: web.Request) -> web.Response:
        body = await _body(request, _Start)
        started = await self._operations.start(body.release, body.tier, _actor(request), body.accept_blind_spots)
        return _json(started, 201)

    async def rollouts(self, request: web.Request) -> web.Response:
        count = _number(request, "count", 20, LINES_MAX)
        return _json({"rollouts": await list_rollouts(self._database, request.query.get("tier"), count)})

    async def rollout(self, request: web.Request) -> web.Response:
        return _json(await get_rollout(self._database, request.match_info["id"]))

    async def journal(self, request: web.Request) -> web.Response:
        after, count = _number(request, "after", 0), _number(request, "count", LINES_MAX, LINES_MAX)
        await get_rollout(self._database, request.match_info["id"])
        return _json({"lines": await read_journal(self._database, request.match_info["id"], after, count)})

    async def decisions(self, request: web.Request) -> web.Response:
        after, count = _number(request, "after", 0), _number(request, "count", LINES_MAX, LINES_MAX)
        query = request.query
        wanted = Wanted(query.get("rollout"), query.get("tier"), _moment(request, "since"), _moment(request, "until"))
        return _json({"decisions": await read_decisions(self._database, wanted, after, count)})

    async def looks(self, request: web.Request) -> web.Response:
        after, count = _number(request, "after", 0), _number(request, "count", LINES_MAX, LINES_MAX)
        await get_rollout(self._database, request.match_info["id"])
        return _json({"looks": await read_looks(self._database, request.match_info["id"], after, count)})

    async def recorded(self, request: web.Request) -> web.Response:
        after, count = _number(request, "after", 0), _number(request, "count", RECORDED_MAX, RECORDED_MAX)
        await get_rollout(self._database, request.match_info["id"])
        return _json({"looks": await read_recorded(self._database, request.match_info["id"], after, count)})

    async def verdict(self, request: web.Request) -> web.Response:
        """200 whatever the verdict: only where there is none does the status say so. See docs/pipelines.md."""
        return _json(await self._operations.judge_now(request.match_info["id"], _step(request)))

    async def tier_verdict(self, request: web.Request) -> web.Response:
        return _json(await self._operations.judge_tier_now(request.match_info["tier"], _step(request)))

    async def command(self, request: web.Request) -> web.Response:
        body = await _body(request, _Reason)
        rollout_id, command = request.match_info["id"], request.match_info["command"]
        return _json(await self._operations.command(rollout_id, command, _actor(request), body.reason))

    async def tiers(self, request: web.Request) -> web.Response:
        return _json({"tiers": await self._operations.tiers()})

    async def traffic(self, request: web.Request) -> web.Response:
        return _json(self._operations.traffic(request.match_info["tier"]))

    async def calibration(self, request: web.Request) -> web.Response:
        return _json(await self._operations.calibration(request.match_info["tier"]))

    async def roll_back_tier(self, request: web.Request) -> web.Response:
        body = await _body(request, _Return)
        tier = request.match_info["tier"]
        return _json(await self._operations.roll_back_tier(tier, body.to, _actor(request), body.reason))

    async def freezes(self, request: web.Request) -> web.Response:
        return _json({"freezes": await list_freezes(self._database)})

    async def freeze(self, request: web.Request) -> web.Response:
        body = await _body(request, _Reason)
        if not body.reason:
            raise _bad_request("a freeze needs a reason")
        await self._operations.freeze(request.match_info["tier"], body.reason, _actor(request))
        return _json({"frozen": True})

    async def lift_freeze(self, request: web.Request) -> web.Response:
        body = await _body(request, _Reason)
        lifted = await self._operations.lift_freeze(request.match_info["tier"], body.reason, _actor(request))
        return _json({"frozen": False, "lifted": lifted})


def _actor(request: web.Request) -> str:
    actor = request.headers.get(ACTOR_HEADER, "").strip()
    if not actor or len(actor) > 200 or not actor.isprintable():
        raise _bad_request(f"the header {ACTOR_HEADER} must say who acts")
    return actor


async def _body(request: web.Request, kind: type[T]) -> T:
    raw = await request.read()
    if _NULL_ESCAPED in raw:
        raise _bad_request("a text holds the null character, which cannot be kept")
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.DecodeError as e:
        raise _bad_request(str(e)) from e


def _number(request: web.Request, name: str, default: int, highest: int = 2**62) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and int(text) <= highest):
        raise _bad_request(f"{name} must be a whole number of at most {highest}")
    return int(text)


def _moment(request: web.Request, name: str) -> float | None:
    if name not in request.query:
        return None
    try:
        at = float(request.query[name])
    except ValueError:
        at = nan
    if not isfinite(at):
        raise _bad_request(f"{name} must be Unix seconds")
    return at


def _step(request: web.Request) -> int | None:
    return _number(request, "step", 0) if "step" in request.query else None


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _error(status: int, code: str, message: str) -> web.Response:
    return _json({"error": {"code": code, "message": message}}, status)


class _BadRequest(Exception):
    pass


def _bad_request(message: str) -> _BadRequest:
    return _BadRequest(message)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _BadRequest as e:
        return _error(400, "bad_request", str(e))
    except NotFound as e:
        return _error(404, "not_found", str(e))
    except (CommandRefused, Conflict) as e:
        return _error(409, "refused", str(e))
    except LostLeadership as e:
        return _error(503, "not_leading", f"{e}; another try will find the one that does")
    except StoreUnavailable as e:
        return _error(503, "no_database", str(e))
    except StoreError as e:
        log.error("store_error", path=request.path, reason=str(e))
        return _error(500, "store", str(e))
    except web.HTTPException as e:
        return _error(e.status, "http", e.reason)


def _guard(admin_key: str) -> Middleware:
    expected = f"Bearer {admin_key}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("authorization", "").encode()
        if "\0" in request.path or "\0" in request.query_string:
            return _error(400, "bad_request", "the address holds a null character")
        if request.path not in _OPEN_PATHS and not hmac.compare_digest(given, expected):
            return _error(401, "unauthorised", "the admin key is missing or wrong")
        return await handler(request)

    return guard


def _once(controller: Controller) -> Middleware:
    database = controller.around.database
    # A lock lives as long as a request holds or awaits it.
    locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @web.middleware
    async def once(request: web.Request, handler: Handler) -> web.StreamResponse:
        key = request.headers.get(IDEMPOTENCY_HEADER)
        if request.method != "POST" or not key:
            return await handler(request)
        if len(key) > _KEY_CHARS_MAX or not (key.isascii() and key.isprintable()):
            raise _bad_request(f"the {IDEMPOTENCY_HEADER} must be plain text of at most {_KEY_CHARS_MAX} characters")
        digest = hashlib.sha256(request.path.encode() + b"\n" + await request.read()).hexdigest()
        lock = locks.setdefault(key, asyncio.Lock())
        # The same key twice at once (a client whose patience ended, say): the second waits for the first's answer.
        async with lock:
            if (kept := await kept_answer(database, key)) is not None:
                if kept.request != digest:
                    return _error(422, "key_reused", f"this {IDEMPOTENCY_HEADER} came with another request before")
                return _json(kept.body, kept.status)
            response = await _errors(request, handler)
            # A failure that another try may mend is not kept.
            if isinstance(response, web.Response) and response.status < 500 and isinstance(response.body, bytes):
                answer = KeptAnswer(digest, response.status, msgspec.json.decode(response.body))
                await keep_answer(database, key, answer, time.time())
            return response

    return once
