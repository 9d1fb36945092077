"""The operator's page says what the program does: its commands and options exist, its picture is the real one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
Ops = Callable[..., Any]


def _commands() -> dict[str, set[str]]:
    """Noun and verb, with the long options that the page gives them."""
    found: dict[str, set[str]] = {}
    for command, rest in re.findall(r"(?:^|`)ops ([a-z]+ [a-z]+)\b([^`\n]*)", PAGE, re.MULTILINE):
        found.setdefault(command, set()).update(re.findall(r"(?<!=)--[a-z-]+", re.sub(r'".*?"', "", rest)))
    return found


def test_the_page_names_the_operators_commands() -> None:
    assert {"canary start", "canary rollback", "route stable", "freeze on", "release verify"} <= set(_commands())


@pytest.mark.parametrize("command", sorted(_commands()))
def test_each_command_and_option_of_the_page_exists(ops: Ops, command: str) -> None:
    ran = ops(*command.split(), "--help")
    assert ran.code == 0, ran.err
    for option in _commands()[command]:
        assert re.search(rf"{option}\b", ran.out), option


def test_the_pages_picture_is_the_programs() -> None:
    golden = (Path(__file__).with_name("golden") / "half.txt").read_text(encoding="utf-8")
    assert golden in PAGE
