"""Whatever stands in the file: the answer is a spec, or all its faults; never another error."""

from __future__ import annotations

import os
import random
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.adapters.spec_file import parse_spec
from ops.spec.compiling import compile_serving, spec_digest
from ops.spec.faults import Fault, SpecError

# The reference takes 20 ms to read: few examples, always the same; many and new ones where somebody asks for them.
ASKED = os.environ.get("SPEC_EXAMPLES")
bounded = settings(
    max_examples=int(ASKED or 60),
    derandomize=not ASKED,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ODD_TEXTS = (
    "", " ", "\t", "\n", "&a ", "*a", "<<: ", "? ", "- ", "{", "}", "[", "]", ":", "#", "!!int ", "!!binary ", "|\n",
    ">\n", "'", '"', "\x00", "\x85", "\u2028", "\ufeff", "\U0001f600", '"\\uD800"', '"\\UFFFFFFFF"', "%YAML 9.9\n",
    "---\n", "...\n", "1e999", ".nan", "-0", "9" * 5000, "null", "true", "@", "`",
)  # fmt: skip
ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([10**30, -1, 0, 1e308, [], {}, [[]], {"a": {}}, "gratefulgpt", "production"]),
    st.recursive(st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)
                 | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=5),
)  # fmt: skip


def answered(data: bytes) -> None:
    """Any other error than SpecError ends the test."""
    faults: tuple[Fault, ...] = ()
    try:
        spec = parse_spec(data, "any.yaml")
    except SpecError as e:
        faults = e.faults
    else:
        assert compile_serving(spec).spec_digest == spec_digest(spec)
        return
    assert faults
    for fault in faults:
        str(fault).encode()
        assert "\n" not in str(fault)
        assert fault.file == "any.yaml"


@bounded
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_garbage_is_answered(data: bytes) -> None:
    answered(data)


@bounded
@given(st.lists(st.sampled_from(ODD_TEXTS) | st.text(max_size=3), max_size=20))
def test_heaps_of_yamls_odd_corners_are_answered(parts: list[str]) -> None:
    answered("".join(parts).encode("utf-8", "surrogatepass"))


@bounded
@given(seed=st.integers(0, 2**32), odd=st.lists(st.sampled_from(ODD_TEXTS), min_size=1, max_size=3))
def test_a_spec_with_damaged_text_is_answered(reference_text: str, seed: int, odd: list[str]) -> None:
    chance, text = random.Random(seed), reference_text
    for part in odd:
        start = chance.randrange(len(text))
        text = text[:start] + part + text[start + chance.choice((0, 1, 5, 200)) :]
    answered(text.encode("utf-8", "surrogatepass"))


@bounded
@given(data=st.data())
def test_a_spec_with_values_replaced_is_answered(reference_text: str, data: st.DataObject) -> None:
    values = yaml.safe_load(reference_text)
    for _ in range(data.draw(st.integers(1, 4))):
        part: Any = values
        while True:
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(part[key], dict | list) or not part[key] or data.draw(st.integers(0, 3)) == 0:
                break
            part = part[key]
        change = data.draw(st.sampled_from(["replace", "delete", "rename"]))
        value = part.pop(key)
        if change == "replace":
            value = data.draw(ODD_VALUES)
        if change != "delete":
            if isinstance(part, dict):
                part[data.draw(st.text(max_size=5)) if change == "rename" else key] = value
            else:
                part.insert(key, value)
        if not values:
            return
    answered(yaml.safe_dump(values, allow_unicode=True).encode("utf-8", "surrogatepass"))
