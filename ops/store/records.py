"""Records to JSON and back. Strict on the way in: a record that the code no longer understands is an error."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from psycopg.types.json import Jsonb

from ops.store.errors import StoreError

T = TypeVar("T")


def to_json(record: object) -> Jsonb:
    return Jsonb(msgspec.to_builtins(record, str_keys=True))


def from_json(value: Any, kind: type[T]) -> T:
    """Raises StoreError."""
    try:
        return msgspec.convert(value, kind, str_keys=True)
    except msgspec.ValidationError as e:
        raise StoreError(f"a stored {kind.__name__} is not understood: {e}") from e
