"""A file with ten faults is answered once, with all ten. ``UPDATE_GOLDEN=1`` rewrites the expected answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec, parse_spec
from ops.spec.faults import SpecError

HERE = Path(__file__).parent


def answer() -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec((HERE / "ten_faults.yaml").read_bytes(), "ten_faults.yaml")
    return str(caught.value) + "\n"


def test_ten_faults_give_ten_lines_in_the_order_of_the_file() -> None:
    golden = HERE / "ten_faults.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(answer(), encoding="utf-8")
    assert answer() == golden.read_text(encoding="utf-8")
    assert len(answer().splitlines()) == 10


def test_each_fault_stands_in_the_line_that_its_number_marks() -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(HERE / "ten_faults.yaml")
    lines = (HERE / "ten_faults.yaml").read_text(encoding="utf-8").splitlines()
    marked = [i for i, line in enumerate(lines, 1) if "# " in line and line.rsplit("# ", 1)[1][0].isdigit()]
    assert len(marked) == 10
    # The place of a missing key is that of the mapping that lacks it: its first line, after its own key's.
    marked[9] += 1
    assert [fault.line for fault in caught.value.faults] == marked


def test_the_same_file_with_its_faults_mended_is_sound() -> None:
    text = (HERE / "ten_faults.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("2100", "2000"),
        ("prodcution", "production"),
        ("many", "2048"),
        ("drain_timeout_secs", "drain_timeout_seconds"),
        ("  window_days: 28 # 5: a key twice\n", ""),
        ("min: 50, max: 10", "min: 10, max: 50"),
        ("110", "100"),
        ("then: stop", "then: pause"),
        ("margin: 3.0, harm: 1.5", "margin: 1.5, harm: 3.0"),
        ("  rto_seconds: 3600\n", "  rto_seconds: 3600\n  rpo_seconds: 900\n"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    assert parse_spec(text.encode(), "mended.yaml").service == "small"
