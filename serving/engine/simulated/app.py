"""The HTTP edge: raw ASGI, one plain function per endpoint, vLLM's paths and answers."""

from __future__ import annotations

import secrets
import time
import zlib
from pathlib import Path

import msgspec
from msgspec import UNSET
from prometheus_client import CONTENT_TYPE_LATEST

from serving.engine.simulated import checks, planning, protocol
from serving.engine.simulated.answers import ENGINE_VERSION
from serving.engine.simulated.asgi import Handler, Receive, Scope, Send, answer, header, read_body
from serving.engine.simulated.engine import Engine
from serving.engine.simulated.errors import ApiError, bad_request, detail, invalid_body
from serving.engine.simulated.exposition import metrics_registry, page
from serving.engine.simulated.generating import CHAT_PATH, COMPLETIONS_PATH, Generating
from serving.engine.simulated.profile import Faults

FAULTS_PATH = "/simulated/faults"


class App:
    """The ASGI application of one engine."""

    def __init__(self, engine: Engine, model_name: str, root: Path, load_tracking: bool) -> None:
        self._engine = engine
        self._model_name = model_name
        self._root = root
        self._created = int(time.time())
        self._registry = metrics_registry(engine, model_name, time.time())
        digest = zlib.crc32(msgspec.json.encode(engine.profile))
        self._generate = Generating(engine, model_name, f"vllm-{ENGINE_VERSION}-{digest:08x}")
        self._load_tracking = load_tracking
        self._tokenize_request = protocol.decoder(protocol.TokenizeRequest)
        self._detokenize_request = protocol.decoder(protocol.DetokenizeRequest)
        self._routes: dict[str, dict[str, Handler]] = {
            CHAT_PATH: {"POST": self._generate},
            COMPLETIONS_PATH: {"POST": self._generate},
            "/v1/models": {"GET": self._models},
            "/health": {"GET": self._health},
            "/ping": {"GET": self._health, "POST": self._health},
            "/version": {"GET": self._version},
            "/load": {"GET": self._server_load},
            "/metrics": {"GET": self._metrics},
            "/tokenize": {"POST": self._tokenize},
            "/detokenize": {"POST": self._detokenize},
            FAULTS_PATH: {"GET": self._get_faults, "PUT": self._put_faults},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            methods = self._routes.get(scope["path"])
            if methods is None:
                raise detail(404, "Not Found")
            handler = methods.get(scope["method"])
            if handler is None:
                allowed = [(b"allow", ", ".join(methods).encode())]
                await answer(send, 405, b'{"detail":"Method Not Allowed"}', allowed)
                return
            await handler(scope, receive, send)
        except ApiError as error:
            await answer(send, error.status, error.body)

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
        await answer(send, 200, msgspec.json.encode({"object": "list", "data": [card]}))

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 200 if self._engine.ready else 503, b"", content_type=None)

    async def _version(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 200, msgspec.json.encode({"version": ENGINE_VERSION}))

    async def _server_load(self, scope: Scope, receive: Receive, send: Send) -> None:
        load = self._generate.load if self._load_tracking else 0
        await answer(send, 200, msgspec.json.encode({"server_load": load}))

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 200, page(self._registry), content_type=CONTENT_TYPE_LATEST.encode())

    async def _tokenize(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        request = protocol.read_request(self._tokenize_request, header(scope, b"content-type"), body)
        if request.prompt is UNSET and request.messages is UNSET:
            raise invalid_body("missing", "body.prompt", "Field required")
        checks.check_model(request.model, self._model_name)
        tokenizer = self._engine.model.tokenizer
        text = request.prompt if isinstance(request.prompt, str) else planning.rendered(request.messages or [])
        tokens = tokenizer.encode(text)
        strings = [tokenizer.decode([token]) for token in tokens] if request.return_token_strs else None
        counted = {
            "count": len(tokens), "max_model_len": self._engine.profile.max_model_len, "tokens": tokens,
            "token_strs": strings,
        }  # fmt: skip
        await answer(send, 200, msgspec.json.encode(counted))

    async def _detokenize(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        request = protocol.read_request(self._detokenize_request, header(scope, b"content-type"), body)
        checks.check_model(request.model, self._model_name)
        text = self._engine.model.tokenizer.decode([token for token in request.tokens if token >= 0])
        await answer(send, 200, msgspec.json.encode({"prompt": text}))

    async def _get_faults(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 200, msgspec.json.encode(self._engine.faults))

    async def _put_faults(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            faults = msgspec.json.decode(await read_body(receive), type=Faults)
        except msgspec.DecodeError as error:
            raise bad_request(f"faults: {error}", "faults") from error
        self._engine.set_faults(faults)
        await answer(send, 200, msgspec.json.encode(faults))
