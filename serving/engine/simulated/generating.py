"""The endpoints that generate: from a request's bytes to an answer, whole or streamed, with the faults it meets."""

from __future__ import annotations

import asyncio
import secrets
import time

from serving.engine.simulated import checks, planning, protocol
from serving.engine.simulated.answers import Heading, StreamEvents, whole_body
from serving.engine.simulated.asgi import (
    EVENT_STREAM,
    JSON,
    Receive,
    Scope,
    Send,
    answer,
    disconnected,
    header,
    read_body,
    start,
)
from serving.engine.simulated.engine import BUSY, Engine, Generation
from serving.engine.simulated.errors import api_error, bad_request
from serving.engine.simulated.faulting import Fault
from serving.engine.simulated.planning import Planned

CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"


class Generating:
    """Serves ``/v1/chat/completions`` and ``/v1/completions`` of one engine."""

    def __init__(self, engine: Engine, model_name: str, fingerprint: str) -> None:
        self.load = 0
        """Requests being served."""
        self._engine = engine
        self._model_name = model_name
        self._fingerprint = fingerprint
        # The loop keeps weak references to tasks alone.
        self._watches: set[asyncio.Task[None]] = set()
        self._chat = protocol.decoder(protocol.ChatRequest)
        self._completion = protocol.decoder(protocol.CompletionRequest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises ApiError for whatever is no success."""
        body = await read_body(receive)
        if not self._engine.ready:
            raise api_error(503, BUSY, "Service Unavailable")
        fault = self._engine.meet_fault()
        if fault is Fault.ERROR:
            raise api_error(500, "EngineCore encountered an issue.", "InternalServerError")
        if fault is Fault.REFUSE:
            raise api_error(503, BUSY, "Service Unavailable")
        if fault is Fault.REJECT:
            raise bad_request("The model rejected the request.")
        planned, streaming = self._planned(scope, body, fault)
        if fault is Fault.HANG:
            await disconnected(receive)
            return
        generation = self._engine.submit(planned, streamed=streaming is not None)
        self._watch(generation, receive)
        self.load += 1
        try:
            if streaming is None:
                await self._whole(generation, self._heading(scope), fault, send)
            else:
                usage, continuous = bool(streaming.include_usage), bool(streaming.continuous_usage_stats)
                events = StreamEvents(self._heading(scope), usage, usage and continuous, generation.prompt_tokens)
                await _stream(generation, events, fault, send)
        finally:
            self._engine.abort(generation)  # whatever ended it, nothing of it may stay
            self.load -= 1

    def _planned(self, scope: Scope, body: bytes, fault: Fault) -> tuple[Planned, protocol.StreamOptions | None]:
        """What to produce, and the stream's options (None: no stream)."""
        kind, engine = header(scope, b"content-type"), self._engine
        request: protocol.ChatRequest | protocol.CompletionRequest
        if scope["path"] == CHAT_PATH:
            request = protocol.read_request(self._chat, kind, body)
            checks.check_chat(request)
            checks.check_model(request.model, self._model_name)
            planned = planning.plan_chat(request, engine.model, fault, engine.request_chance(request.seed))
        else:
            request = protocol.read_request(self._completion, kind, body)
            checks.check_completion(request)
            checks.check_model(request.model, self._model_name)
            planned = planning.plan_completion(request, engine.model, fault, engine.request_chance(request.seed))
        checks.check_sampling(request)
        return planned, (request.stream_options or protocol.StreamOptions()) if request.stream else None

    def _heading(self, scope: Scope) -> Heading:
        chat = scope["path"] == CHAT_PATH
        given = header(scope, b"x-request-id") or secrets.token_hex(8)
        name = ("chatcmpl-" if chat else "cmpl-") + given
        return Heading(name, int(time.time()), self._model_name, self._fingerprint, chat)

    def _watch(self, generation: Generation, receive: Receive) -> None:
        """Aborts the request when its client leaves. Ends by itself once the answer is out."""

        async def watch() -> None:
            await disconnected(receive)
            self._engine.abort(generation)

        task = asyncio.get_running_loop().create_task(watch())
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    async def _whole(self, generation: Generation, heading: Heading, fault: Fault, send: Send) -> None:
        await generation.complete()
        if generation.aborted:
            return
        choices = [generation.choice(index) for index in range(len(generation.sequences))]
        body = whole_body(heading, choices, generation.prompt_tokens, generation.completion_tokens)
        if fault is Fault.CUT:
            await start(send, 200, [JSON, (b"content-length", b"%d" % len(body))])
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            return  # an answer left unfinished closes the connection
        await answer(send, 200, body)


async def _stream(generation: Generation, events: StreamEvents, fault: Fault, send: Send) -> None:
    await start(send, 200, [EVENT_STREAM])
    opening = events.opening(len(generation.sequences))
    cut_at = sum(output.tokens for output in generation.outputs) // 2 if fault is Fault.CUT else None
    while True:
        if not generation.finished:
            await generation.news()
        if generation.aborted:
            return
        parts, opening = [opening], b""
        for index, text, tokens, ended in generation.deltas():
            if ended:
                parts.append(events.finish(generation.choice(index, text), tokens))
            else:
                parts.append(events.delta(index, text, tokens))
        if cut_at is not None and generation.completion_tokens > cut_at:
            return  # an answer left unfinished closes the connection
        if generation.finished:
            parts.append(events.closing(generation.completion_tokens))
            await send({"type": "http.response.body", "body": b"".join(parts)})
            return
        await send({"type": "http.response.body", "body": b"".join(parts), "more_body": True})
