"""Files that are no spec at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.adapters.spec_file import SIZE_BYTES_MAX, load_spec, parse_spec
from ops.spec.faults import SpecError


def complaint(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path / "no.yaml") == f"{tmp_path / 'no.yaml'}: no such file"


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"{tmp_path}: a folder, where a file is expected"


def test_a_path_that_no_file_can_have_is_refused() -> None:
    assert "cannot be read" in complaint(Path("a\0b"))
    assert "cannot be read" in complaint(Path("a" * 300))


def test_bytes_that_are_not_utf_8_are_found_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("version: 1\nservice: cafè\n".encode("latin-1"))
    assert complaint(path) == f"{path}:2:13: the file is not UTF-8 (found byte 0xE8)"


def test_a_file_over_the_size_limit_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (SIZE_BYTES_MAX + 1))
    assert complaint(path) == f"{path}: the file is too large (found more than {SIZE_BYTES_MAX} bytes)"


def test_a_byte_order_mark_is_no_fault(reference_text: str) -> None:
    assert parse_spec(b"\xef\xbb\xbf" + reference_text.encode(), "bom.yaml").service == "gratefulgpt"


def test_a_list_is_no_spec() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(b"- 1\n- 2\n", "list.yaml")
    assert str(caught.value) == "list.yaml:1:1: wrong type (found a list of 2, expected a mapping)"


def test_many_faults_are_counted_but_not_all_shown() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec("\n".join(f"key{i}: 1" for i in range(1000)).encode(), "many.yaml")
    assert len(caught.value.faults) > 1000
    assert str(caught.value).splitlines()[-1] == f"... and {len(caught.value.faults) - 200} more"
