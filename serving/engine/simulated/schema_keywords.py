"""Keywords of JSON schemas read on their own: bounds, ranges, implied types, and schemas combined into one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from serving.engine.simulated.patterns import matching_text

SPREAD = 1000
"""How far an open range of numbers reaches."""


class SchemaError(ValueError):
    """No value can be made for the schema."""


def fitting_text(schema: Mapping[str, Any], chance: random.Random, brief: bool) -> str:
    """A text of the pattern that keeps the length's bounds; a pattern is not anchored in a schema, so this is."""
    least, most = bound(schema, "minLength", 0), bound(schema, "maxLength", 1 << 16)
    for repeats_max in (0, 1, 2, 4, 8, 16, 32) if brief else (8, 4, 2, 1, 0, 16, 32):
        text = matching_text(schema["pattern"], chance, repeats_max)
        if least <= len(text) <= most:
            return text
    raise SchemaError("no text of the pattern was found within the length's bounds")


def bound(schema: Mapping[str, Any], keyword: str, default: int) -> int:
    """A bound of length or count. Raises SchemaError."""
    value = schema.get(keyword, default)
    if not isinstance(value, int) or value < 0:
        raise SchemaError(f"'{keyword}' must be a whole number of at least 0")
    return value


def inclusive_range(schema: Mapping[str, Any], exclusive_step: int) -> tuple[float, float]:
    """Inclusive bounds (for integers, ``exclusive_step`` moves an exclusive bound inwards)."""
    lows = [schema["minimum"]] if "minimum" in schema else []
    highs = [schema["maximum"]] if "maximum" in schema else []
    if "exclusiveMinimum" in schema:
        lows.append(schema["exclusiveMinimum"] + exclusive_step)
    if "exclusiveMaximum" in schema:
        highs.append(schema["exclusiveMaximum"] - exclusive_step)
    if not lows and not highs:
        return 0, SPREAD
    low = max(lows) if lows else min(highs) - SPREAD
    return low, (min(highs) if highs else low + SPREAD)


def implied_type(schema: Mapping[str, Any]) -> str:
    """The type that a schema without one speaks of."""
    for keywords, kind in (
        (("properties", "required", "additionalProperties"), "object"), (("items", "prefixItems", "minItems"), "array"),
        (("pattern", "maxLength", "minLength", "format"), "string"), (("minimum", "maximum", "multipleOf"), "number"),
    ):  # fmt: skip
        if any(keyword in schema for keyword in keywords):
            return kind
    return "object"


def merged(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with its ``allOf`` folded in. Raises SchemaError."""
    rest = {name: value for name, value in schema.items() if name != "allOf"}
    return combined([rest, *schema["allOf"]])


def combined(parts: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One schema for all parts: properties and required are united, other keywords must not contradict."""
    union: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, Mapping):
            raise SchemaError("'allOf' must hold objects")
        for name, value in part.items():
            if name == "properties":
                union[name] = {**union.get(name, {}), **value}
            elif name == "required":
                union[name] = [*union.get(name, []), *value]
            elif name in union and union[name] != value:
                raise SchemaError(f"'{name}' is given twice and differs")
            else:
                union[name] = value
    return union
