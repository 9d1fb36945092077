"""The committed JSON Schema is the one that the models give, and editors can rely on it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from ops.spec.model import Spec
from ops.spec.schema import schema_text


def test_the_committed_schema_is_what_the_models_give(root: Path) -> None:
    committed = (root / "gratefulgpt.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "write it anew: ops spec schema --output gratefulgpt.schema.json"


def test_the_spec_names_the_schema_in_its_first_line(reference_text: str) -> None:
    assert reference_text.startswith("# yaml-language-server: $schema=gratefulgpt.schema.json\n")


def test_the_reference_is_valid_by_the_schema_and_a_wrong_key_is_not(reference: Spec) -> None:
    validator = jsonschema_rs.validator_for(json.loads(schema_text()))
    values = reference.model_dump(mode="json", by_alias=True)
    assert validator.is_valid(values)
    for path, key, value in (
        ((), "colour", 1),
        (("rollout",), "lease_seconds", "soon"),
        (("rollout", "analysis", "events"), "slo", {"role": "off", "margin": 1.5, "harm": 3.0}),
        (("rollout", "blind"), "then", "stop"),
        (("targets",), "availability_percent", 100),
    ):
        wrong = json.loads(json.dumps(values))
        part = wrong
        for step in path:
            part = part[step]
        part[key] = value
        assert not validator.is_valid(wrong), (path, key)


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("Measuring", "latency_bounds_ms"),
        ("Recovery", "rpo_seconds"),
        ("Analysis", "level_quantiles"),
        ("Task", "class"),
    ],
)
def test_keys_that_need_explaining_are_explained_in_the_schema(part: str, key: str) -> None:
    assert json.loads(schema_text())["$defs"][part]["properties"][key]["description"]
