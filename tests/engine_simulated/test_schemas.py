"""Structured output: whatever schema is asked for, the value is valid for it, or the schema is refused."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.engine.simulated.patterns import PatternError, check_pattern, matching_text
from serving.engine.simulated.schema_keywords import SchemaError
from serving.engine.simulated.schemas import make_value

SONG = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 1, "maxLength": 40},
        "key": {"enum": ["A", "E", "G"]},
        "minutes": {"type": "number", "minimum": 0, "exclusiveMaximum": 60},
        "set": {"type": "integer", "minimum": 1, "maximum": 3},
        "live": {"type": "boolean"},
        "note": {"anyOf": [{"type": "string", "maxLength": 10}, {"type": "null"}]},
    },
    "required": ["title", "key", "set"],
    "additionalProperties": False,
}
SCHEMAS: list[dict[str, Any]] = [
    SONG,
    {"type": "array", "items": SONG, "minItems": 2, "maxItems": 4},
    {"type": "object", "properties": {"songs": {"type": "array", "items": {"$ref": "#/$defs/song"}}},
     "required": ["songs"], "$defs": {"song": SONG}},
    {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"$ref": "#"}}, "required": ["value"]},
    {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "required": ["children"], "properties": {
        "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}}}}},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
               {"properties": {"b": {"type": "integer"}}, "required": ["b"]}]},
    {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "integer", "multipleOf": 5, "minimum": 3}]},
    {"type": ["string", "null"]},
    {"const": {"a": [1, None]}},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
    {"type": "string", "format": "date"},
    {"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 6},
    {"type": "number", "minimum": -2.5, "maximum": -2.5},
    {"type": "string", "minLength": 200},
    {"type": "object", "required": ["anything"]},
    {"type": "object", "additionalProperties": {"type": "integer"}, "required": ["x", "y"]},
    {},
]  # fmt: skip


@pytest.mark.parametrize("brief", [False, True])
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:50])
def test_values_are_valid_for_their_schema(schema: dict[str, Any], brief: bool) -> None:
    valid = jsonschema_rs.validator_for(schema)
    for seed in range(40):
        value = make_value(schema, random.Random(seed), brief)
        json.dumps(value)
        valid.validate(value)


names = st.sampled_from(["a", "b", "c", "d"])
leaves = st.one_of(
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 20), st.integers(0, 50),
    ),
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-50, 50), st.integers(0, 9),
    ),
    st.builds(
        lambda low, more: {"type": "number", "minimum": low, "maximum": low + more},
        st.floats(-50, 50), st.floats(0.01, 9),
    ),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.lists(st.one_of(st.integers(), st.text(max_size=5), st.booleans()), min_size=1, max_size=4).map(
        lambda options: {"enum": options}
    ),
)  # fmt: skip
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda low, more, items: {"type": "array", "items": items, "minItems": low, "maxItems": low + more},
            st.integers(0, 3), st.integers(0, 3), inner,
        ),
        st.dictionaries(names, inner, max_size=4).flatmap(
            lambda properties: st.sets(st.sampled_from(sorted(properties) or ["a"])).map(
                lambda required: {
                    "type": "object", "properties": properties, "required": sorted(required & set(properties)),
                    "additionalProperties": False,
                }
            )
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(schemas, st.integers(0, 1000), st.booleans())
def test_values_are_valid_for_any_schema_of_these_keywords(schema: dict[str, Any], seed: int, brief: bool) -> None:
    jsonschema_rs.validator_for(schema).validate(make_value(schema, random.Random(seed), brief))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "bogus"}, {"enum": []}, {"type": "string", "minLength": 5, "maxLength": 3}, {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/schema"}, {"not": {"type": "string"}}, {"type": "integer", "minimum": "x"},
        {"type": "integer", "minimum": 4, "maximum": 3}, {"type": "array", "items": {"type": "bogus"}, "minItems": 1},
        {"$ref": "#"}, {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]},
        {"type": "string", "pattern": "("}, {"anyOf": []}, {"type": "array", "minItems": 3, "maxItems": 1},
        {"allOf": [{"type": "string"}, {"type": "integer"}]}, {"type": "array", "uniqueItems": True}, False,
    ],
    ids=json.dumps,
)  # fmt: skip
def test_schemas_that_no_value_can_be_made_for_are_refused(schema: Any) -> None:
    with pytest.raises((SchemaError, PatternError)):
        make_value(schema, random.Random(0), False)


@pytest.mark.parametrize(
    "pattern",
    [r"[ab]{3}", r"\d{4}-\d\d", r"(yes|no)!?", r"[^a-y]+z*", r"^\w+\s.$", r"x{2,}", r"(?:ab)+?c", r"[\d_]", "",
     r"\S\D\W"],
)  # fmt: skip
def test_text_matches_its_pattern(pattern: str) -> None:
    for seed in range(30):
        assert re.fullmatch(pattern, matching_text(pattern, random.Random(seed), 6))


@pytest.mark.parametrize("pattern", ["(", "a(?=b)", r"(a)\1", "[b-a]", "[^ -~]"])
def test_patterns_that_cannot_be_generated_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        check_pattern(pattern)
