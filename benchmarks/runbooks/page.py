"""A runbook as it is read: its commands, in the order of the page. Nothing is taken from the code that made it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SECTIONS = ("Diagnosis", "Mitigation", "Verification")
WAY_BACK = "The way back:"
NO_ANSWER = "No answer:"
_CODE = re.compile(r"\bExit code (\d+):")
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_STEP = re.compile(r"^\d+\. ", re.MULTILINE)


@dataclass(frozen=True)
class PageStep:
    text: str
    commands: tuple[str, ...]
    """Without those of the way back."""
    undo: tuple[str, ...]
    codes: frozenset[int] = frozenset()
    """With which the page says that its commands may exit, besides 0."""
    silent: bool = False
    """The page says what no answer means."""


@dataclass(frozen=True)
class Page:
    name: str
    setting: str
    """The command of the box on top, which sets the variables."""
    diagnosis: tuple[PageStep, ...]
    mitigation: tuple[PageStep, ...]
    verification: tuple[PageStep, ...]


def read_page(path: Path) -> Page:
    """Raises ValueError if it is no runbook."""
    top, *parts = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}
    settings = re.findall(r"^> (eval .*)$", top, re.MULTILINE)
    if len(settings) != 1 or not set(SECTIONS) <= set(sections):
        raise ValueError(f"{path} is no runbook: it lacks a section, or the command that sets its variables")
    found = {name: tuple(map(_step, _STEP.split(sections[name])[1:])) for name in SECTIONS}
    return Page(path.stem, settings[0], found["Diagnosis"], found["Mitigation"], found["Verification"])


def _step(text: str) -> PageStep:
    before, _, after = text.partition(WAY_BACK)
    prose = _BLOCK.sub("", before)
    codes = frozenset(map(int, _CODE.findall(prose)))
    return PageStep(
        before.partition("\n")[0].strip(), _commands(before), _commands(after), codes, NO_ANSWER in prose
    )


def _commands(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for block in _BLOCK.findall(text) for line in block.splitlines() if line.strip())
