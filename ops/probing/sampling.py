"""A small request body that a JSON schema accepts. Pure.

Covers what request schemas of tasks use: objects with required properties, strings, numbers, booleans, arrays, enums,
constants. What it cannot make raises; the caller's probe then fails, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT = "Which song opened the concert of 8 May 1977 at Barton Hall, Cornell?"
DEPTH_MAX = 8


class Unsampleable(ValueError):
    """No sample is known for this schema."""


def sample(schema: Mapping[str, Any], depth: int = 0) -> Any:
    """The smallest plain value of the schema. Raises Unsampleable."""
    if depth > DEPTH_MAX:
        raise Unsampleable("a schema nested too deeply")
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("examples"):
        return schema["examples"][0]
    kind = schema.get("type")
    if kind == "object":
        known = schema.get("properties", {})
        return {name: sample(known.get(name, {"type": "string"}), depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        return [sample(schema.get("items", {"type": "string"}), depth + 1)] * int(schema.get("minItems", 1))
    if kind == "string" and "pattern" not in schema:
        least = int(schema.get("minLength", 0))
        return (TEXT * (least // len(TEXT) + 1))[: max(least, min(len(TEXT), int(schema.get("maxLength", len(TEXT)))))]
    if kind in ("integer", "number"):
        return schema["minimum"] if "minimum" in schema else min(1, schema.get("maximum", 1))
    if kind == "boolean":
        return False
    raise Unsampleable(f"no sample is known for a schema of {sorted(schema)}")
