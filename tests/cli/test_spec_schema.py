"""``ops spec schema`` writes the file that is committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


def test_the_schema_written_is_the_one_committed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "schema.json"
    assert main(["spec", "schema", "--output", str(target)]) == 0
    assert capsys.readouterr().out == ""
    assert target.read_bytes() == (ROOT / "gratefulgpt.schema.json").read_bytes()


def test_the_reference_spec_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "check", str(ROOT / "gratefulgpt.yaml")]) == 0
    assert "is sound" in capsys.readouterr().out
