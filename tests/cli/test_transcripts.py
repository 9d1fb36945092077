"""Whole commands: each file in ``transcripts`` holds one command, all that it prints, and its exit code.

They run in a folder that holds ``small.yaml`` (sound) and ``faulty.yaml`` (two faults). ``UPDATE_GOLDEN=1`` writes
what is printed now.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest

from ops.cli.main import main

HERE = Path(__file__).parent
TRANSCRIPTS = sorted((HERE / "transcripts").glob("*.txt"))


def transcript(command: str, out: str, err: str, code: int) -> str:
    parts = [f"$ {command}\n"]
    for name, text in (("stdout", out), ("stderr", err)):
        if text:
            parts.append(f"--- {name}\n{text}")
    return "".join(parts) + f"--- exit {code}\n"


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_a_command_prints_what_its_transcript_says(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("small.yaml", "faulty.yaml"):
        shutil.copy(HERE / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    expected = path.read_text(encoding="utf-8")
    command = expected.splitlines()[0].removeprefix("$ ")
    program, *arguments = shlex.split(command)
    assert program == "ops"
    code = main(arguments)
    printed = capsys.readouterr()
    found = transcript(command, printed.out, printed.err, code)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_no_transcript_shows_the_address_of_a_webhook() -> None:
    assert TRANSCRIPTS
    assert "T0K3N" in (HERE / "small.yaml").read_text(encoding="utf-8")
    for path in TRANSCRIPTS:
        assert "T0K3N" not in path.read_text(encoding="utf-8"), path.name


def test_the_guide_to_the_spec_shows_what_the_command_prints() -> None:
    guide = (HERE.parents[1] / "docs" / "spec.md").read_text(encoding="utf-8")
    lines = (HERE / "transcripts" / "spec_check_faulty.txt").read_text(encoding="utf-8").splitlines()
    printed = "\n".join(line for line in lines if not line.startswith("---"))
    assert f"```\n{printed}\n```" in guide
