"""Addresses on the web, as a spec may hold them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, a broken IPv6 address
        valid = False
    if not valid or any(character.isspace() for character in url):
        raise PydanticCustomError("web_address", "no web address", {"expected": "an address http://... or https://..."})
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError(
            "web_address", "a user or password in an address", {"expected": "an address without user and password"}
        )
    return url


WebAddress = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_web_address)]
