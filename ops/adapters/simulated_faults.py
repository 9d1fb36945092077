"""Faults of simulated engines: set while they run, and taken back. Engines of another kind have none.

Blocking, so that whoever takes them back cannot be cancelled half-way; each call has a time-out.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

FAULTS_PATH = "/simulated/faults"
TIMEOUT_SECONDS = 5.0


class FaultsError(Exception):
    """The engine did not take them, or cannot be asked. Worth another try."""


class NotSimulated(FaultsError):
    """It answers, and has no faults to set: it is a real engine."""


def faults_of(engine_url: str) -> dict[str, Any]:
    """Those in force, as ``set_faults`` takes them. Raises FaultsError, NotSimulated."""
    found = _answer(engine_url, "GET", None)
    try:
        faults = json.loads(found)
    except ValueError:
        faults = None
    if not isinstance(faults, dict) or "error_rate" not in faults:
        raise NotSimulated(f"{engine_url} is no simulated engine")
    return faults


def set_faults(engine_url: str, faults: Mapping[str, Any]) -> None:
    """Instead of those in force; none: it is well. Raises FaultsError, NotSimulated."""
    _answer(engine_url, "PUT", json.dumps(dict(faults)).encode())


def _answer(engine_url: str, method: str, body: bytes | None) -> bytes:
    try:
        with closing(http.client.HTTPConnection(urlsplit(engine_url).netloc, timeout=TIMEOUT_SECONDS)) as connection:
            connection.request(method, FAULTS_PATH, body)
            answer = connection.getresponse()
            found, status = answer.read(), answer.status
    except (OSError, ValueError, http.client.HTTPException) as e:
        raise FaultsError(f"{engine_url} does not answer: {type(e).__name__}") from e
    if status in (404, 405):
        raise NotSimulated(f"{engine_url} is no simulated engine: it answers {status} to {FAULTS_PATH}")
    if status != 200:
        raise FaultsError(f"{engine_url} answers {status} to {method} {FAULTS_PATH}")
    return found
