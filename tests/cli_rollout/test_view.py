"""The rollout's picture, as it looks: golden files of 80 columns. ``UPDATE_GOLDEN=1`` writes them anew."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields
from rich.console import Console

from ops.cli.rollout_view import rollout_panel
from ops.judge.model import Decision
from ops.rollout.record import Rollout, Strategy
from ops.rollout.states import State
from ops.store.rollouts import LookLine
from serving.contract import BadEvent

GOLDEN = Path(__file__).with_name("golden")
MakeLook = Callable[..., LookLine]

CASES = (
    "analysing",
    "waiting",
    "blind",
    "next_step_prepared",
    "half",
    "paused",
    "suspended",
    "rolled_back",
    "refused",
    "promoted",
    "direct",
    "no_look_yet",
    "no_request_yet",
    "ascii",
)


def _case(name: str, rollout: Rollout, make_look: MakeLook) -> tuple[Rollout, LookLine | None]:
    look = make_look()
    gone: dict[str, Any] = {"served_step": None, "blind_since": None}
    match name:
        case "waiting":
            return rollout, make_look(seen=(), canary_assigned=31)
        case "blind":
            return replace(rollout, blind_since=1101.0), make_look(Decision.BLIND)
        case "next_step_prepared":
            return replace(rollout, state=State.PREPARING, step=1, reason="on to 50 %"), look
        case "half":
            return replace(rollout, step=1, served_step=1), look
        case "paused":
            return replace(rollout, state=State.PAUSED, reason="paused by \x1b[31mjo\x07"), look
        case "suspended":
            reason = "gateway-0 returned to stable: nobody renewed its lease for 15 s"
            return replace(rollout, state=State.SUSPENDED, needs_resume=True, reason=reason, **gone), look
        case "rolled_back":
            reason = "of 46 'failed' events 44 fell on the canary, 23 expected if it were no worse"
            return replace(rollout, state=State.ROLLED_BACK, reason=reason, **gone), look
        case "refused":
            return replace(rollout, state=State.REFUSED, looks=0, reason="weights.bin has changed", **gone), None
        case "promoted":
            return replace(rollout, state=State.PROMOTED, step=2, reason="every worker serves it", **gone), look
        case "direct":
            return replace(rollout, state=State.WARMING, strategy=Strategy.DIRECT, step=2, **gone), None
        case "no_look_yet":
            return replace(rollout, state=State.PREPARING, looks=0, promote_requested=True, **gone), None
        case "no_request_yet":
            unseen = tuple(with_fields(event, observable=False) for event in look.look.events)
            return rollout, make_look(events=unseen, canary_assigned=0, reference_assigned=0)
        case _:
            return rollout, look


def _drawn(rollout: Rollout, look: LookLine | None, encoding: str = "utf-8", width: int = 80) -> str:
    buffer = io.BytesIO()
    console = Console(file=io.TextIOWrapper(buffer, encoding=encoding), width=width, color_system=None)
    console.print(rollout_panel(rollout, look, 1142.0))
    console.file.flush()
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("name", CASES)
def test_the_picture_is_as_it_was(name: str, rollout: Rollout, make_look: MakeLook) -> None:
    drawn = _drawn(*_case(name, rollout, make_look), encoding="ascii" if name == "ascii" else "utf-8")
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")
    assert all(len(line) <= 80 for line in drawn.splitlines())


def test_a_narrow_terminal_gets_no_line_wider_than_itself(rollout: Rollout, make_look: MakeLook) -> None:
    for width in (20, 40, 60, 79):
        drawn = _drawn(rollout, make_look(), width=width)
        assert max(map(len, drawn.splitlines())) <= width


def test_a_wide_terminal_gets_no_picture_that_is_hard_to_read(rollout: Rollout, make_look: MakeLook) -> None:
    assert max(map(len, _drawn(rollout, make_look(), width=300).splitlines())) <= 100


def test_what_people_wrote_steers_no_terminal(rollout: Rollout, make_look: MakeLook) -> None:
    nasty = "\x1b]0;owned\x07 [red]bold[/red]\n\x9b31m"
    drawn = _drawn(replace(rollout, reason=nasty), make_look(Decision.BLIND, words=(nasty,)))
    assert not {"\x1b", "\x07", "\x9b"} & set(drawn)
    assert "[red]bold[/red]" in drawn, "markup is shown, not obeyed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    against=st.one_of(st.floats(min_value=0, max_value=1e300), st.just(inf)),
    favour=st.floats(min_value=0, max_value=1e300),
    canary=st.integers(0, 99_999),
    other=st.integers(0, 99_999),
)
def test_no_figure_breaks_the_frame(
    rollout: Rollout, make_look: MakeLook, seen: Callable[..., object], against: float, favour: float,
    canary: int, other: int,
) -> None:  # fmt: skip
    look = make_look(seen=(seen(BadEvent.SLOW_FIRST_TOKEN, canary, canary + other, against, favour),))
    lines = _drawn(rollout, look).splitlines()
    assert {len(line) for line in lines} == {80}
    row = next(line for line in lines if "slow first" in line)
    assert ("!" in row) is (against >= 600)
    assert ("✓" in row) is (favour >= 20)
