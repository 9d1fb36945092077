"""The judge answers and remembers what it did when these looks were recorded, however it computes them now."""

from __future__ import annotations

import json
from math import isclose
from typing import Any

import msgspec
import pytest

from ops.judge.model import JudgeState
from tests.judge.former import RECORDED, RELEASES, rows, taken


@pytest.mark.parametrize("name", RELEASES)
def test_looks_come_out_as_they_were_recorded(name: str) -> None:
    recorded, again = json.loads(RECORDED.read_text())[name], json.loads(json.dumps(rows(RELEASES[name])))
    assert [look[0] for look in again["looks"]] == [look[0] for look in recorded["looks"]]
    assert not _unlike("", recorded, again)


@pytest.mark.parametrize("name", RELEASES)
def test_a_state_that_was_written_and_read_between_looks_goes_on_as_one_that_never_was(name: str) -> None:
    recorded, again = json.loads(RECORDED.read_text())[name], json.loads(json.dumps(rows(RELEASES[name], reread)))
    assert not _unlike("", recorded, again)


def test_a_state_knows_its_fields_alone() -> None:
    (state, _), *_ = taken(RELEASES["alike"])
    with pytest.raises(AttributeError, match="nothing"):
        _ = state.nothing  # type: ignore[attr-defined]


def reread(state: JudgeState) -> JudgeState:
    return msgspec.json.decode(msgspec.json.encode(state), type=JudgeState)


def test_the_recorded_looks_hold_every_decision() -> None:
    recorded = json.loads(RECORDED.read_text())
    assert {look[0] for one in recorded.values() for look in one["looks"]} == {"hold", "advance", "blind", "roll_back"}


def _unlike(where: str, one: Any, other: Any) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{where}: {list(one)}, {list(other)}"]
        return [found for key in one for found in _unlike(f"{where}.{key}", one[key], other[key])]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for i, pair in pairs for found in _unlike(f"{where}.{i}", *pair)]
    if isinstance(one, float) and isinstance(other, float):
        return [] if isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) else [f"{where}: {one}, {other}"]
    return [] if type(one) is type(other) and one == other else [f"{where}: {one!r}, {other!r}"]
