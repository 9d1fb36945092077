"""The HTTP edge: raw ASGI, one plain function per endpoint, vLLM's paths and answers."""

from __future__ import annotations

import asyncio
import secrets
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET
from prometheus_client import CONTENT_TYPE_LATEST

from serving.engine.simulated import planning, protocol
from serving.engine.simulated.answers import ENGINE_VERSION, Heading, StreamEvents, whole_body
from serving.engine.simulated.engine import BUSY, Engine, Generation
from serving.engine.simulated.errors import ApiError, api_error, bad_request, detail, invalid_body
from serving.engine.simulated.exposition import metrics_registry, page
from serving.engine.simulated.faulting import Fault
from serving.engine.simulated.planning import Planned
from serving.engine.simulated.profile import Faults

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES_MAX = 16 << 20
JSON = (b"content-type", b"application/json")
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")


class App:
    """The ASGI application of one engine."""

    def __init__(self, engine: Engine, model_name: str, root: Path, load_tracking: bool) -> None:
        self._engine = engine
        self._model_name = model_name
        self._root = root
        self._created = int(time.time())
        self._registry = metrics_registry(engine, model_name, time.time())
        digest = zlib.crc32(msgspec.json.encode(engine.profile))
        self._fingerprint = f"vllm-{ENGINE_VERSION}-{digest:08x}"
        self._load = 0 if load_tracking else None
        self._watches: set[asyncio.Task[None]] = set()
        self._chat = protocol.decoder(protocol.ChatRequest)
        self._completion = protocol.decoder(protocol.CompletionRequest)
        self._tokenize_request = protocol.decoder(protocol.TokenizeRequest)
        self._detokenize_request = protocol.decoder(protocol.DetokenizeRequest)
        self._routes: dict[str, dict[str, Handler]] = {
            "/v1/chat/completions": {"POST": self._generate},
            "/v1/completions": {"POST": self._generate},
            "/v1/models": {"GET": self._models},
            "/health": {"GET": self._health},
            "/ping": {"GET": self._health, "POST": self._health},
            "/version": {"GET": self._version},
            "/load": {"GET": self._server_load},
            "/metrics": {"GET": self._metrics},
            "/tokenize": {"POST": self._tokenize},
            "/detokenize": {"POST": self._detokenize},
            "/simulated/faults": {"GET": self._get_faults, "PUT": self._put_faults},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        methods = self._routes.get(scope["path"])
        try:
            if methods is None:
                raise detail(404, "Not Found")
            handler = methods.get(scope["method"])
            if handler is None:
                await _answer(send, 405, b'{"detail":"Method Not Allowed"}', [(b"allow", ", ".join(methods).encode())])
                return
            await handler(scope, receive, send)
        except ApiError as error:
            await _answer(send, error.status, error.body)

    # --- generation -------------------------------------------------------------------------------------------

    async def _generate(self, scope: Scope, receive: Receive, send: Send) -> None:
        chat = scope["path"] == "/v1/chat/completions"
        body = await _read_body(receive)
        if not self._engine.ready:
            raise api_error(503, BUSY, "Service Unavailable")
        fault = self._engine.meet_fault()
        if fault is Fault.ERROR:
            raise api_error(500, "EngineCore encountered an issue.", "InternalServerError")
        if fault is Fault.REFUSE:
            raise api_error(503, BUSY, "Service Unavailable")
        planned, streaming = self._planned(chat, scope, body, fault)
        if fault is Fault.HANG:
            await _disconnected(receive)
            return
        generation = self._engine.submit(planned, streamed=streaming is not None)
        self._watch(generation, receive)
        heading = self._heading(chat, scope)
        if self._load is not None:
            self._load += 1
        try:
            if streaming is None:
                await self._whole(generation, heading, fault, send)
            else:
                usage, continuous = bool(streaming.include_usage), bool(streaming.continuous_usage_stats)
                events = StreamEvents(heading, usage, usage and continuous, generation.prompt_tokens)
                await _stream(generation, events, fault, send)
        finally:
            self._engine.abort(generation)  # whatever ended it, nothing of it may stay
            if self._load is not None:
                self._load -= 1

    def _planned(
        self, chat: bool, scope: Scope, body: bytes, fault: Fault
    ) -> tuple[Planned, protocol.StreamOptions | None]:
        """What to produce, and the stream's options (None: no stream)."""
        kind, model = _header(scope, b"content-type"), self._engine.model
        request: protocol.ChatRequest | protocol.CompletionRequest
        if chat:
            request = protocol.read_request(self._chat, kind, body)
            protocol.check_chat(request)
            self._check_model(request.model)
            planned = planning.plan_chat(request, model, fault, self._engine.request_chance(request.seed))
        else:
            request = protocol.read_request(self._completion, kind, body)
            protocol.check_completion(request)
            self._check_model(request.model)
            planned = planning.plan_completion(request, model, fault, self._engine.request_chance(request.seed))
        protocol.check_sampling(request)
        return planned, (request.stream_options or protocol.StreamOptions()) if request.stream else None

    def _check_model(self, name: str | None) -> None:
        if name and name != self._model_name:
            message = f"The model `{name}` does not exist. Valid aliases: {self._model_name}."
            raise api_error(404, message, "NotFoundError", "model")

    def _heading(self, chat: bool, scope: Scope) -> Heading:
        given = _header(scope, b"x-request-id") or secrets.token_hex(8)
        name = ("chatcmpl-" if chat else "cmpl-") + given
        return Heading(name, int(time.time()), self._model_name, self._fingerprint, chat)

    def _watch(self, generation: Generation, receive: Receive) -> None:
        """Aborts the request when its client leaves. Ends by itself once the answer is out."""

        async def watch() -> None:
            await _disconnected(receive)
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
            await _start(send, 200, [JSON, (b"content-length", b"%d" % len(body))])
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            return  # an answer left unfinished closes the connection
        await _answer(send, 200, body)

    # --- the rest ---------------------------------------------------------------------------------------------

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        permission = {
            "id": f"modelperm-{secrets.token_hex(8)}", "object": "model_permission", "created": int(time.time()),
            "allow_create_engine": False, "allow_sampling": True, "allow_logprobs": True,
            "allow_search_indices": False, "allow_view": True, "allow_fine_tuning": False, "organization": "*",
            "group": None, "is_blocking": False,
        }  # fmt: skip
        card = {
            "id": self._model_name, "object": "model", "created": self._created, "owned_by": "vllm",
            "root": str(self._root), "parent": None, "max_model_len": self._engine.profile.max_model_len,
            "permission": [permission],
        }  # fmt: skip
        await _answer(send, 200, msgspec.json.encode({"object": "list", "data": [card]}))

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200 if self._engine.ready else 503, b"", content_type=None)

    async def _version(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, msgspec.json.encode({"version": ENGINE_VERSION}))

    async def _server_load(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, msgspec.json.encode({"server_load": self._load or 0}))

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, page(self._registry), content_type=CONTENT_TYPE_LATEST.encode())

    async def _tokenize(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        request = protocol.read_request(self._tokenize_request, _header(scope, b"content-type"), body)
        if request.prompt is UNSET and request.messages is UNSET:
            raise invalid_body("missing", "body.prompt", "Field required")
        self._check_model(request.model)
        tokenizer = self._engine.model.tokenizer
        text = request.prompt if isinstance(request.prompt, str) else planning.rendered(request.messages or [])
        tokens = tokenizer.encode(text)
        strings = [tokenizer.decode([token]) for token in tokens] if request.return_token_strs else None
        answer = {
            "count": len(tokens), "max_model_len": self._engine.profile.max_model_len, "tokens": tokens,
            "token_strs": strings,
        }  # fmt: skip
        await _answer(send, 200, msgspec.json.encode(answer))

    async def _detokenize(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        request = protocol.read_request(self._detokenize_request, _header(scope, b"content-type"), body)
        self._check_model(request.model)
        text = self._engine.model.tokenizer.decode([token for token in request.tokens if token >= 0])
        await _answer(send, 200, msgspec.json.encode({"prompt": text}))

    async def _get_faults(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, msgspec.json.encode(self._engine.faults))

    async def _put_faults(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            faults = msgspec.json.decode(await _read_body(receive), type=Faults)
        except msgspec.DecodeError as error:
            raise bad_request(f"faults: {error}", "faults") from error
        self._engine.set_faults(faults)
        await _answer(send, 200, msgspec.json.encode(faults))


async def _stream(generation: Generation, events: StreamEvents, fault: Fault, send: Send) -> None:
    await _start(send, 200, [EVENT_STREAM])
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


async def _start(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
    content_type: bytes | None = b"application/json",
) -> None:
    own = [(b"content-length", b"%d" % len(body))]
    if content_type is not None:
        own.append((b"content-type", content_type))
    await _start(send, status, own + (headers or []))
    await send({"type": "http.response.body", "body": body})


async def _read_body(receive: Receive) -> bytes:
    """The whole body. Raises ApiError (413) if it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise detail(400, "The client left")
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise api_error(413, f"the body exceeds {BODY_BYTES_MAX} bytes", "RequestEntityTooLarge")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""
