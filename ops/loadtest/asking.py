"""Asks the service before a run: what its tasks take, and whether it answers one request of each kind at all."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from ops.loadtest.plan import Plan
from ops.loadtest.traffic import Destination

OPENAPI_PATH = "/openapi.json"
PLAIN_SECONDS_MAX = 10.0
BODY_BYTES_MAX = 16 << 20
KEY_VARIABLE = "OPS_API_KEY"
"""Of the environment: a key on the command line would be in every list of processes."""
_MENDS = {
    401: f"it wants a key: set {KEY_VARIABLE}",
    403: f"the key in {KEY_VARIABLE} may not do this",
    404: "is this the service's URL, and has it this task?",
    429: "it turns us away before the run has begun",
}


class ServiceError(Exception):
    """The service cannot be tested as asked; the message says why and what to do."""


def destination(url: str, key: str = "") -> Destination:
    """Raises ServiceError for what is no base URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query:
        raise ServiceError(f"{url!r} is no base URL of a service: http://HOST:PORT")
    if any(character in key for character in "\r\n"):
        raise ServiceError(f"the key in {KEY_VARIABLE} has a line break")
    tls = parts.scheme == "https"
    return Destination(host, port or (443 if tls else 80), tls, key)


def request_schemas(to: Destination) -> dict[str, Mapping[str, Any]]:
    """Of JSON bodies, by path, from the service's own description. Raises ServiceError."""
    status, body = _exchanged(to, _get(to, OPENAPI_PATH), PLAIN_SECONDS_MAX)
    if status != 200:
        raise ServiceError(f"{_url(to)}{OPENAPI_PATH} answers {status}: {_MENDS.get(status, 'is this the service?')}")
    try:
        paths = json.loads(body)["paths"]
        found = {
            path: operations["post"]["requestBody"]["content"]["application/json"]["schema"]
            for path, operations in paths.items()
            if "requestBody" in operations.get("post", {})
        }
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ServiceError(f"{_url(to)}{OPENAPI_PATH} is no OpenAPI description: is this the service?") from e
    return found


def ask_each(to: Destination, plan: Plan) -> None:
    """Sends one request of each kind. Raises ServiceError where the service does not take it.

    Only what the client did wrong counts: a service that fails by itself is for the run to judge.
    """
    first = dict(reversed(plan.requests))
    for number, request in sorted(first.items()):
        kind = plan.kinds[number]
        try:
            status, body = _exchanged(to, request, kind.timeout_seconds)
        except TimeoutError:
            continue
        if 400 <= status < 500 and status != 408:
            mend = _MENDS.get(status, "the request is not what it takes")
            raise ServiceError(f"{_url(to)} answers {status}{_code(body)} to a request for {kind.task}: {mend}")


def _url(to: Destination) -> str:
    return f"{'https' if to.tls else 'http'}://{to.host}:{to.port}"


def _code(body: bytes) -> str:
    """The error's code, the service's own word and no content."""
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({code})" if isinstance(code, str) else ""


def _get(to: Destination, path: str) -> bytes:
    lines: Iterable[str] = (
        f"GET {path} HTTP/1.1",
        f"Host: {to.host}:{to.port}",
        "Connection: close",
        *([f"Authorization: Bearer {to.key}"] if to.key else []),
    )
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _exchanged(to: Destination, request: bytes, timeout_seconds: float) -> tuple[int, bytes]:
    """Status and body. Raises ServiceError where there is no server, TimeoutError where it does not answer in time."""
    try:
        plain = socket.create_connection((to.host, to.port), PLAIN_SECONDS_MAX)
    except OSError as e:
        why = e.strerror or str(e) or type(e).__name__
        raise ServiceError(f"no server at {_url(to)}: {why} (`ops stack up` starts one on this machine)") from e
    try:
        with _secured(plain, to) as connection:
            connection.settimeout(timeout_seconds)
            connection.sendall(request)
            answer = HTTPResponse(connection)
            answer.begin()
            return answer.status, answer.read(BODY_BYTES_MAX)
    except TimeoutError:
        raise
    except (HTTPException, OSError) as e:
        raise ServiceError(f"what listens at {_url(to)} does not speak HTTP as asked: {type(e).__name__}") from e


def _secured(plain: socket.socket, to: Destination) -> socket.socket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=to.host) if to.tls else plain
