"""A request from its first byte to its last: read, check, admit, assign, ask an engine, answer, count, log."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest

from serving.contract import (
    REQUEST_ID_HEADER,
    SESSION_HEADER,
    SYNTHETIC_HEADER,
    WEIGHT_TOTAL,
    BadEvent,
    Levels,
    ServingConfig,
    TaskConfig,
    TaskKind,
)
from serving.gateway import errors, openai_request, passthrough, task_answer, task_request
from serving.gateway.admission import Admission
from serving.gateway.asgi import Headers, Receive, Scope, Send, send_body
from serving.gateway.assigning import choose_arm, point_of_session
from serving.gateway.body import ClientLeft, collect_body, too_slow
from serving.gateway.connection import Connection, connection_of
from serving.gateway.counting import Counters
from serving.gateway.errors import Problem
from serving.gateway.exchange import Exchange, Stop
from serving.gateway.openai_request import Asked
from serving.gateway.request_log import RequestLog
from serving.gateway.routes import ArmPlan, Plan, Routes
from serving.gateway.routing import UNJUDGED_EPOCH
from serving.gateway.sessions import ScoredSessions
from serving.gateway.strata import stratum
from serving.gateway.task_request import TaskAsked
from serving.gateway.upstream import EngineFailed, Upstream
from serving.tasks.catalogue import Catalogue

Given = dict[bytes, bytes]
"""A request's headers, names in lower case; of equal ones the last."""
_REQUEST_ID, _SESSION, _SYNTHETIC = (
    name.encode() for name in (REQUEST_ID_HEADER, SESSION_HEADER, SYNTHETIC_HEADER)
)
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
NO_LEVELS: Mapping[str, Levels] = {}
CLIENT_LEFT_STATUS = 499
"""What the log and the counters say when nobody was there to be answered (nginx's number for it)."""


@dataclass(frozen=True)
class Inference:
    """All that serving a request needs."""

    config: ServingConfig
    synthetic_token: str
    catalogue: Catalogue
    routes: Routes
    admission: Admission
    counters: Counters
    upstream: Upstream
    log: RequestLog
    rng: random.Random
    sessions: ScoredSessions
    clock: Callable[[], float] = time.monotonic

    async def serve(self, task: TaskConfig, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever happens to it."""
        given: Given = dict(scope["headers"])
        synthetic = _SYNTHETIC in given and compare_digest(given[_SYNTHETIC], self.synthetic_token.encode())
        exchange = Exchange(task, self._request_id(given), synthetic, self.counters, self.clock)
        headers = [(_REQUEST_ID, exchange.request_id.encode())]
        connection = connection_of(scope)
        begun = exchange.arrived
        try:
            await self._answer(exchange, connection, given, receive, send, headers)
        except Problem as e:
            await self._refuse(exchange, e, send, headers)
        except ClientLeft:
            exchange.stopped = Stop.CLIENT_LEFT
            exchange.status = CLIENT_LEFT_STATUS
        except asyncio.CancelledError:
            if not exchange.stop_was_ours():
                raise
            await self._stopped(exchange, send, headers)
        except Exception as e:  # noqa: BLE001 - the outermost edge: a fault of ours must not end the connection unexplained
            self.log.fault(time.time(), exchange.request_id, e)
            await self._refuse(exchange, errors.unexpected(), send, headers)
        finally:
            connection.watch(None)
            exchange.finish()
            self._account(exchange)
            self.log.add(exchange, time.time(), self.clock() - begun)

    async def _answer(
        self,
        exchange: Exchange,
        connection: Connection,
        given: Given,
        receive: Receive,
        send: Send,
        headers: Headers,
    ) -> None:
        task, limits = exchange.task, self.config.limits
        if not connection.body_is_here:
            exchange.await_body(limits.body_read_timeout_seconds)
        length = given.get(b"content-length")
        body = await collect_body(receive, None if length is None else str(length, "latin-1"), limits)
        exchange.body_came()
        connection.watch(exchange.client_left)
        asked = self._parse(exchange, body)
        exchange.tier, exchange.streamed = asked.tier, asked.streamed
        await self.admission.enter()
        try:
            plan = self._plan(asked.tier)
            arm = self._assign(exchange, plan, asked, given)
            headers.extend(arm.headers)
            if isinstance(asked, Asked):
                await passthrough.forward(self.upstream, exchange, arm, task.path, asked, headers, send)
            else:
                asking = self._asking(task, arm, asked)
                await task_answer.answer(self.upstream, exchange, arm, asking, headers, send)
        finally:
            self.admission.leave()

    def _parse(self, exchange: Exchange, body: bytes) -> Asked | TaskAsked:
        task = exchange.task
        if task.kind in (TaskKind.OPENAI_CHAT, TaskKind.OPENAI_COMPLETION):
            return openai_request.parse(task, body, self.config)
        fields = task_request.decode(body)
        tier = exchange.tier = task_request.tier_of(task, fields, self.config)
        files = self.catalogue.task(self._plan(tier).template_version, task.name)
        if files is None:
            raise Problem(503, "template_missing", "the stable release's template version is not here")
        return task_request.check(task, files, fields, tier, self.config)

    def _plan(self, tier: str) -> Plan:
        plan = self.routes.plan(tier)
        if plan is None:
            raise errors.no_release(tier)
        return plan

    def _assign(self, exchange: Exchange, plan: Plan, asked: Asked | TaskAsked, given: Given) -> ArmPlan:
        scored = True
        if plan.session_salt is not None and _SESSION in given:
            point = point_of_session(plan.session_salt, given[_SESSION])
            # Synthetic traffic is not counted, so it must not take a session's place.
            scored = exchange.synthetic or self.sessions.is_first(asked.tier, plan.epoch, point)
        else:
            point = self.rng.random() * WEIGHT_TOTAL
        arm = choose_arm(plan.choices, point)
        task_class = exchange.task.task_class
        label = stratum(self.config.strata, asked.prompt_chars, asked.output_tokens)
        cuts = plan.levels.get(task_class, NO_LEVELS).get(label, {}) if scored else {}
        key = (asked.tier, arm.arm, plan.epoch if scored else UNJUDGED_EPOCH, task_class, label)
        exchange.assign(arm.arm, arm.release, key, self.config.classes[task_class], cuts)
        return arm

    def _asking(self, task: TaskConfig, arm: ArmPlan, asked: TaskAsked) -> task_answer.Asking:
        files = self.catalogue.task(arm.template_version, task.name)
        if files is None:
            raise EngineFailed(500, "template_missing", "the release's template version is not here")
        return task_answer.Asking(task, files, self.config.tiers[asked.tier].model, asked)

    async def _refuse(self, exchange: Exchange, problem: Problem, send: Send, headers: Headers) -> None:
        if exchange.arm is None:
            self.counters.refused[problem.limit or problem.code] += 1
            if problem.status >= 500 or problem.status == errors.TOO_MANY:
                exchange.turned_away()
        elif isinstance(problem, EngineFailed):
            if problem.event is not None:
                exchange.mark(problem.event)
        elif problem.status >= 500:
            exchange.mark(BadEvent.FAILED)
        if exchange.started:
            # Too late for another answer: the connection is closed without the end that was announced.
            return
        exchange.status = problem.status
        exchange.started = True
        await send_body(send, problem.status, problem.body(), headers=[*headers, *problem.headers()])

    async def _stopped(self, exchange: Exchange, send: Send, headers: Headers) -> None:
        if exchange.stopped is Stop.CLIENT_LEFT:
            if exchange.arm is None:
                exchange.left_in_line(self.config.classes[exchange.task.task_class])
            exchange.mark(BadEvent.ABANDONED)
            exchange.status = CLIENT_LEFT_STATUS
            return
        if exchange.stopped is Stop.BODY_TOO_SLOW:
            await self._refuse(exchange, too_slow(self.config.limits), send, headers)
            return
        exchange.mark(BadEvent.UNANSWERED)
        seconds = self.config.classes[exchange.task.task_class].timeout_seconds
        if exchange.started:
            if exchange.streamed:
                await send({"type": "http.response.body", "body": passthrough.STREAM_TIMEOUT})
            return
        message = f"the engine gave no answer within {seconds:g} s"
        problem = EngineFailed(504, "timeout", message, BadEvent.UNANSWERED, limit="timeout_seconds")
        await self._refuse(exchange, problem, send, headers)

    def _account(self, exchange: Exchange) -> None:
        task, tier = exchange.task.name, exchange.tier
        if exchange.synthetic:
            self.counters.synthetic[task, exchange.status] += 1
            return
        self.counters.responses[task, tier, exchange.status] += 1
        if exchange.usage is not None:
            self.counters.tokens[task, tier, "prompt"] += exchange.usage.prompt_tokens
            self.counters.tokens[task, tier, "completion"] += exchange.usage.completion_tokens

    def _request_id(self, given: Given) -> str:
        """The caller's, if it is a plain token; a new one otherwise."""
        value = given.get(_REQUEST_ID)
        if value is not None and REQUEST_ID.fullmatch(value):
            return value.decode()
        return f"{self.rng.getrandbits(128):032x}"


