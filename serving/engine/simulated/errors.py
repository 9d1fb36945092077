"""Errors as vLLM answers them: ``{"error": {"message", "type", "param", "code"}}``, or FastAPI's ``{"detail"}``.

No message ever holds a prompt: where vLLM echoes the offending value, this names its place alone.
"""

from __future__ import annotations

import re

import msgspec


class ErrorInfo(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: int


class ErrorBody(msgspec.Struct, frozen=True):
    error: ErrorInfo


class ApiError(Exception):
    """An answer that is no success. ``body`` is what goes out."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def api_error(status: int, message: str, type_: str, param: str | None = None) -> ApiError:
    return ApiError(status, msgspec.json.encode(ErrorBody(ErrorInfo(message, type_, param, status))))


def bad_request(message: str, param: str | None = None) -> ApiError:
    """A value that the engine refuses (vLLM's own checks)."""
    return api_error(400, message, "BadRequestError", param)


def parameter_error(message: str, param: str, value: object = None) -> ApiError:
    """As above, with the parameter named in the message; ``value`` only for numbers."""
    shown = f", value={value}" if value is not None else ""
    return bad_request(f"{message} (parameter={param}{shown})", param)


def invalid_body(kind: str, place: str, message: str) -> ApiError:
    """A body that does not fit the request's type (pydantic's checks)."""
    text = f"1 validation error:\n  {{'type': '{kind}', 'loc': '{place}', 'msg': '{message}'}}"
    return api_error(400, text, "Bad Request", place)


def detail(status: int, text: str) -> ApiError:
    return ApiError(status, msgspec.json.encode({"detail": text}))


_PATH = re.compile(r" - at `(?:key in )?\$?(.*)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")


def from_validation(error: msgspec.ValidationError) -> ApiError:
    """The error of a body whose JSON is well formed. msgspec's message names types and places, never values,
    except for enumerations, whose value is left out."""
    text = str(error)
    path = _PATH.search(text)
    place = "body" + (path.group(1).replace("[...]", "").replace("[", ".").replace("]", "") if path else "")
    missing = _MISSING.search(text)
    if missing:
        return invalid_body("missing", f"{place}.{missing.group(1)}", "Field required")
    message = _PATH.sub("", text)
    if message.startswith("Invalid"):
        message = "Input is not one of the values allowed"
    return invalid_body("type_error", place, message.replace("`", ""))


def from_syntax(error: msgspec.DecodeError) -> ApiError:
    """The error of a body that is no JSON."""
    position = re.search(r"\(byte (\d+)\)", str(error))
    return invalid_body("json_invalid", f"body.{position.group(1) if position else 0}", "JSON decode error")
