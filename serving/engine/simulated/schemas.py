"""JSON that is valid for a JSON schema: what structured output promises.

Owns the making of values and the refusal of schemas that it cannot serve. It knows the keywords that grammar engines
know; what it does not know it refuses rather than ignores where ignoring could break the promise.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from serving.engine.simulated.patterns import check_pattern
from serving.engine.simulated.schema_keywords import (
    SPREAD,
    SchemaError,
    bound,
    combined,
    fitting_text,
    implied_type,
    inclusive_range,
    merged,
)
from serving.engine.simulated.vocabulary import WORDS

DEPTH_MAX = 32
"""Deeper than this a schema's value is cut short, or refused if it cannot be."""
ITEMS_MAX, TEXT_MAX = 3, 32
UNSUPPORTED = ("not", "if", "dependentSchemas", "dependentRequired", "patternProperties", "propertyNames", "contains",
               "unevaluatedProperties", "unevaluatedItems", "uniqueItems", "minProperties")  # fmt: skip
FORMATS = {
    "date-time": "1977-05-08T20:00:00Z", "date": "1977-05-08", "time": "20:00:00Z", "duration": "PT3H",
    "email": "band@example.com", "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
    "uri": "https://example.com/", "uuid": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
}  # fmt: skip

Schema = bool | Mapping[str, Any]


@dataclass(frozen=True)
class Maker:
    """Makes values of one schema document. ``brief`` makes the shortest ones."""

    root: Schema
    chance: random.Random
    brief: bool
    depth: int = 0

    def value(self, schema: Schema) -> Any:
        """A value valid for the schema. Raises SchemaError."""
        if schema is True or schema == {}:
            return {} if self.brief else {"note": self._words(1, 16)}
        if not isinstance(schema, Mapping):
            raise SchemaError("schema is not an object that some value could satisfy")
        if self.depth > DEPTH_MAX:
            raise SchemaError(f"schema nests deeper than {DEPTH_MAX}")
        for keyword in UNSUPPORTED:
            if schema.get(keyword):
                raise SchemaError(f"keyword '{keyword}' is not supported")
        deeper = replace(self, depth=self.depth + 1)
        if "$ref" in schema:
            return deeper.value(self._referenced(schema["$ref"]))
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._pick(schema["enum"], "enum")
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return deeper._any_of(schema, keyword)
        if "allOf" in schema:
            return deeper.value(merged(schema))
        return self._typed(schema)

    def _any_of(self, schema: Mapping[str, Any], keyword: str) -> Any:
        options = list(schema[keyword])
        self.chance.shuffle(options)
        rest = {name: value for name, value in schema.items() if name != keyword}
        error = SchemaError(f"'{keyword}' is empty")
        for option in options:  # a branch may recurse for ever where another one ends
            try:
                return self.value(combined([rest, option]) if isinstance(option, Mapping) else option)
            except SchemaError as fault:
                error = fault
        raise error

    def _typed(self, schema: Mapping[str, Any]) -> Any:
        kind = schema.get("type", implied_type(schema))
        if isinstance(kind, list):
            kind = self._pick(kind, "type")
        makers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "object": self._object, "array": self._array, "string": self._string, "integer": self._integer,
            "number": self._number, "boolean": lambda _: self.chance.random() < 0.5, "null": lambda _: None,
        }  # fmt: skip
        if not isinstance(kind, str) or kind not in makers:
            raise SchemaError(f"Invalid type: {kind}")
        return makers[kind](schema)

    def _pick(self, options: Any, keyword: str) -> Any:
        if not isinstance(options, list) or not options:
            raise SchemaError(f"'{keyword}' must be a list that is not empty")
        return self.chance.choice(options)

    def _referenced(self, reference: Any) -> Schema:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise SchemaError("only references within the schema are supported")
        target: Any = self.root
        for part in reference[1:].strip("/").split("/") if reference.strip("#/") else []:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or key not in target:
                raise SchemaError("a $ref points to nothing")
            target = target[key]
        return target  # type: ignore[no-any-return]

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            raise SchemaError("'properties' must be an object and 'required' a list")
        deeper = replace(self, depth=self.depth + 1)
        made: dict[str, Any] = {}
        for name, inner in properties.items():
            if name in required:
                made[name] = deeper.value(inner)
            elif not self.brief and self.depth < DEPTH_MAX // 4:
                try:
                    made[name] = deeper.value(inner)
                except SchemaError:
                    continue  # an optional part without end is left out
        for name in required:
            if name not in made:
                made[name] = deeper.value(schema.get("additionalProperties", True))
        return made

    def _array(self, schema: Mapping[str, Any]) -> list[Any]:
        fixed = schema.get("prefixItems", [])
        least = bound(schema, "minItems", len(fixed))
        most = bound(schema, "maxItems", max(least, 0 if schema.get("items") is False else ITEMS_MAX))
        if least > most:
            raise SchemaError("minItems is above maxItems")
        few = self.brief or self.depth > DEPTH_MAX // 4
        wanted = least if few else min(most, max(least, 1 + self._below(ITEMS_MAX)))
        deeper = replace(self, depth=self.depth + 1)
        items = [deeper.value(inner) for inner in fixed[:wanted]]
        return items + [deeper.value(schema.get("items", True)) for _ in range(wanted - len(items))]

    def _string(self, schema: Mapping[str, Any]) -> str:
        if "pattern" in schema:
            return fitting_text(schema, self.chance, self.brief)
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        least, most = bound(schema, "minLength", 0), bound(schema, "maxLength", TEXT_MAX)
        most = max(least, most) if "maxLength" not in schema else most
        if least > most:
            raise SchemaError("minLength is above maxLength")
        return self._words(least, least if self.brief else min(most, max(least, TEXT_MAX)))

    def _words(self, least: int, most: int) -> str:
        text = self.chance.choice(WORDS).title()
        while len(text) < most:
            text += " " + self.chance.choice(WORDS)
        return text[:most].rstrip().ljust(least, "a")

    def _below(self, count: int) -> int:
        return int(self.chance.random() * count)

    def _integer(self, schema: Mapping[str, Any]) -> int:
        step = schema.get("multipleOf", 1)
        if not isinstance(step, int) or step < 1:
            raise SchemaError("'multipleOf' of an integer must be a positive integer")
        low, high = inclusive_range(schema, 1)
        least, most = -(-low // step), high // step
        if least > most:
            raise SchemaError("no integer lies within the bounds")
        least_int, most_int = int(least), int(most)
        return (least_int if self.brief else least_int + self._below(min(most_int - least_int + 1, SPREAD))) * step

    def _number(self, schema: Mapping[str, Any]) -> float | int:
        low, high = inclusive_range(schema, 0)
        step = schema.get("multipleOf")
        if step:
            return self._integer({**schema, "multipleOf": 1}) if step == 1 else self._multiple(low, high, step)
        inside = (low < high) or ("exclusiveMinimum" not in schema and "exclusiveMaximum" not in schema)
        if low > high or not inside:
            raise SchemaError("no number lies within the bounds")
        middle = low + (high - low) * (0.5 if self.brief else 0.1 + 0.8 * self.chance.random())
        rounded = round(middle, 2)
        return rounded if low < rounded < high else middle

    def _multiple(self, low: float, high: float, step: float) -> float | int:
        times = -(-low // step)
        if times * step > high:
            raise SchemaError("no multiple lies within the bounds")
        return times * step


def make_value(schema: Schema, chance: random.Random, brief: bool) -> Any:
    """A value valid for the schema, the shortest one if ``brief``. Raises SchemaError (a ValueError)."""
    if isinstance(schema, Mapping) and isinstance(pattern := schema.get("pattern"), str):
        check_pattern(pattern)
    try:
        return Maker(schema, chance, brief).value(schema)
    except (TypeError, AttributeError, KeyError) as error:
        raise SchemaError("a keyword has a value of the wrong type") from error
