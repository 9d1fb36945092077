"""The diagram in docs/rollout.md is the table, and drawing it again changes no byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.rollout.drawing import BEGIN, END, NoPlace, diagram, drawn, main
from ops.rollout.states import TRANSITIONS, State

DOCUMENT = Path(__file__).parents[2] / "docs" / "rollout.md"


def test_the_documents_diagram_is_drawn_from_the_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert drawn(text) == text, "run `make gen`"


def test_every_transition_is_an_arrow_with_its_event() -> None:
    lines = diagram().splitlines()
    for (before, event), after in TRANSITIONS.items():
        (arrow,) = (line for line in lines if line.strip().startswith(f"{before.value} --> {after.value}: "))
        assert event.value in arrow.split(": ")[1].split(", ")


def test_every_state_is_explained() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [state for state in State if f"`{state.value}`" not in text] == []


def test_what_stands_outside_the_markers_stays(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    path.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    assert main([str(path)]) == 0
    text = path.read_text()
    assert text.startswith(f"above\n{BEGIN}\n```mermaid\nstateDiagram-v2\n")
    assert text.endswith(f"```\n{END}\nbelow\n")
    assert "old" not in text


def test_a_document_without_markers_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "document.md"
    path.write_text("nothing here\n")
    with pytest.raises(NoPlace):
        drawn("nothing here\n")
    assert main([str(path)]) == 2
    assert path.read_text() == "nothing here\n"
    assert "needs a line" in capsys.readouterr().err
