"""Bodies made from schemas are accepted by them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.probing.sampling import Unsampleable, sample

TASKS = sorted((Path(__file__).parents[2] / "serving" / "tasks").glob("*/*.json"))


@pytest.mark.parametrize("path", TASKS, ids=[path.stem for path in TASKS])
def test_every_task_of_the_service_can_be_asked(path: Path) -> None:
    schema = json.loads(path.read_text())["request"]
    jsonschema_rs.validate(schema, sample(schema))


@given(least=st.integers(0, 300), more=st.integers(0, 300))
def test_strings_keep_their_bounds(least: int, more: int) -> None:
    schema = {"type": "string", "minLength": least, "maxLength": least + more}
    assert jsonschema_rs.is_valid(schema, sample(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5},
        {"type": "integer", "maximum": -3},
        {"type": "number"},
        {"type": "boolean"},
        {"const": "x"},
        {"enum": ["a", "b"]},
        {"type": "array", "items": {"type": "string"}, "minItems": 3},
        {"type": "object", "required": ["a"], "properties": {"a": {"type": "object"}}},
    ],
)
def test_other_kinds_too(schema: dict[str, object]) -> None:
    jsonschema_rs.validate(schema, sample(schema))


@pytest.mark.parametrize("schema", [{}, {"type": "string", "pattern": "^a+$"}, {"oneOf": []}])
def test_what_cannot_be_made_says_so(schema: dict[str, object]) -> None:
    with pytest.raises(Unsampleable):
        sample(schema)


def test_a_schema_without_end_is_refused() -> None:
    schema: dict[str, object] = {"type": "object", "required": ["a"]}
    schema["properties"] = {"a": schema}
    with pytest.raises(Unsampleable, match="too deeply"):
        sample(schema)
