"""Every error that a client can be answered, in OpenAI's shape. Messages name limits and places, never content."""

from __future__ import annotations

import msgspec

TOO_MANY = 429
"""The status of a refusal because others came first."""


class Problem(Exception):
    """A request that is answered with an error.

    ``limit`` names the configured bound that was exceeded; ``places`` lists faults of a request as path and words.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        limit: str | None = None,
        retry_after_seconds: int | None = None,
        places: tuple[dict[str, str], ...] = (),
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds
        self.places = places
        self.close = close
        """The connection cannot be used again: the rest of the body was not read."""

    def body(self) -> bytes:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error: dict[str, object] = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        if self.limit is not None:
            error["limit"] = self.limit
        if self.places:
            error["faults"] = self.places
        return msgspec.json.encode({"error": error})

    def headers(self) -> list[tuple[bytes, bytes]]:
        found = []
        if self.retry_after_seconds is not None:
            found.append((b"retry-after", b"%d" % self.retry_after_seconds))
        if self.close:
            found.append((b"connection", b"close"))
        return found


def not_json(detail: str) -> Problem:
    """``detail`` is a decoder's message: positions and types, no content."""
    return Problem(400, "invalid_json", f"the body is not valid: {detail}")


def over_tokens(asked: int, cap: int, param: str) -> Problem:
    message = f"{asked} output tokens were asked for, and this task gives at most {cap}"
    return Problem(400, "output_tokens_exceeded", message, param=param, limit="output_tokens_max")


def unknown_model(models: list[str]) -> Problem:
    message = f"no such model; there are {', '.join(models)}"
    return Problem(404, "model_not_found", message, param="model")


def prompt_too_long(chars: int, chars_max: int) -> Problem:
    message = f"the prompt has {chars} characters, and at most {chars_max} are taken"
    return Problem(400, "prompt_too_long", message, limit="prompt_chars_max")


def no_release(tier: str) -> Problem:
    return Problem(503, "no_release", f"no release serves tier {tier}", retry_after_seconds=5)


def unauthorised() -> Problem:
    return Problem(401, "unauthorised", "this needs the admin key as a bearer token")


def not_found() -> Problem:
    return Problem(404, "not_found", "there is nothing at this path; GET /docs lists what there is")


def method_not_allowed() -> Problem:
    return Problem(405, "method_not_allowed", "the path exists, but not for this method")


def unexpected() -> Problem:
    return Problem(500, "internal_error", "the gateway failed; its log has the request id")
