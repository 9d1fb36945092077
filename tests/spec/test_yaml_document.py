"""YAML as the spec reads it: anchors and merge keys, words that stay words, and every bound."""

from __future__ import annotations

import pytest

from ops.adapters.yaml_document import DEPTH_MAX, NODES_MAX, compose
from ops.spec.document import plain
from ops.spec.faults import SpecError


def values(text: str) -> object:
    node, faults = compose(text, "spec.yaml")
    assert not faults, [str(fault) for fault in faults]
    return plain(node)


def complaint(text: str) -> str:
    """All that is said about a text, whether it is readable or not."""
    try:
        _, faults = compose(text, "f")
    except SpecError as e:
        faults = list(e.faults)
    return "\n".join(map(str, faults))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("010", 10),
        ("2026-01-01", "2026-01-01"),
        ("-3", -3),
        (".5", 0.5),
        ("~", None),
        ("", None),
        ("TRUE", True),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("'<<'", "<<"),
        ("<<", "<<"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = values(f"a: {text}")
    assert found == {"a": value}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(value)


def test_an_alias_repeats_what_its_anchor_names() -> None:
    assert values("a: &x {b: 1}\nc: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}


def test_a_merge_key_gives_way_to_the_mappings_own_keys() -> None:
    assert values("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n") == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}
    assert values("a: &x {b: 1, c: 2}\nd: {c: 3, <<: *x}\n") == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}


def test_of_several_merged_mappings_the_earlier_wins() -> None:
    assert values("a: &x {b: 1}\nc: &y {b: 2, d: 4}\ne: {<<: [*x, *y]}\n") == {
        "a": {"b": 1},
        "c": {"b": 2, "d": 4},
        "e": {"b": 1, "d": 4},
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f:1:1: the file is empty (expected a spec)"),
        ("# nothing\n", "f:1:1: the file is empty (expected a spec)"),
        ("a: 1\na: 2\n", "f:2:1: a: the key of line 1 again"),
        ("x:\n  a: 1\n  b: 2\n  a: 3\n", "f:4:3: x.a: the key of line 2 again"),
        ("1: 2", "f:1:1: a key is plain text (found '1')"),
        ("x: {null: 2}", "f:1:5: x: a key is plain text (found 'null')"),
        ("[a]: 2", "f:1:1: a key is plain text (found a list or mapping)"),
        ("<<: 2", "f:1:5: a merge key takes mappings (found 2)"),
        ("a: !!int b", "f:1:4: a: cannot be read as int (found 'b')"),
        ("a: !!bool yes", "f:1:4: a: cannot be read as bool (found 'yes')"),
        ("a: !!python/object/apply:os.getcwd []", ""),
        ("a: !!python/name:os.getcwd b",
         "f:1:4: a: not a value that a spec can hold: python/name:os.getcwd (found 'b')"),
        ("a: \x07", "f:1:4: a character that YAML does not allow (found 0x7)"),
        ("a: [1", "f:1:6: not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        ("a: *b", "f:1:4: not YAML: found undefined alias 'b'"),
        ("a\n---\nb", "f:2:1: not YAML: expected a single document in the stream, but found another document"),
        ('a: "\\UFFFFFFFF"', "f:1:7: not YAML: an escape or a directive that means nothing"),
        ('a: "\\uD800"', "f:1:4: a: not a value that a spec can hold: str (found '\N{REPLACEMENT CHARACTER}')"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_place(text: str, expected: str) -> None:
    assert complaint(text) == expected


def test_a_tagged_object_is_only_a_list() -> None:
    assert values("a: !!python/object/apply:os.getcwd []") == {"a": ()}


def test_depth_is_bounded() -> None:
    assert "nested too deep" in complaint("[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1))
    assert "nested too deep" in complaint("[" * 200_000)
    assert "nested too deep" in complaint("a: &a [*a]")
    assert "nested too deep" in complaint("&a {<<: *a}")


def test_the_number_of_values_is_bounded_with_aliases_counted_as_often_as_used() -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    assert f"at most {NODES_MAX}" in complaint("a0: &a0 [1]\n" + levels)


def test_a_key_in_a_merged_mapping_keeps_its_own_place() -> None:
    assert complaint("base: &b\n  x: !!int no\nuse:\n  <<: *b\n").startswith("f:2:6: base.x: cannot be read as int")
