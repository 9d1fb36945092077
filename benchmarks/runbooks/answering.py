"""Whether a command of a runbook has answered what its step asks: by its exit code and by what it shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from benchmarks.runbooks.page import PageStep
from benchmarks.runbooks.shell import Ran

SHOWS: Mapping[str, tuple[str, ...]] = {
    "ops stack status": ("part", "health"),
    "ops route show": ("worker", "weight", "epoch"),
    "ops canary history": ("state",),
    "ops probe": ("probe", "asked", "wrong"),
}
"""What stands in the answer of a command that begins so: the heads of its table."""
FAILED: Mapping[str, tuple[str, ...]] = {"ops route show": ("no worker tells",)}
"""What may stand there instead, with an exit code of the page, where nothing is left to make a table of."""
NAMED = ("TIER", "REPLICA")
"""Variables of which a command of ours that is given one tells: the value stands in its answer."""
QUERY = "promtool query instant"
VERIFIED_CODES = frozenset({3})
"""That a verification may exit with where its page says so. A few requests that are well cannot tell of a p95."""
_BY = re.compile(r"\bby \(([^)]*)\)")
_METRIC = re.compile(r"""['"]([a-zA-Z_:][\w:]*)(?:\{[^}]*\})?['"]\s*$""")
_SAMPLE = re.compile(r"^(.*) => (\S+) @\[[\d.]+\]$", re.MULTILINE)


def unanswered(step: PageStep, ran: Ran, variables: Mapping[str, str], *, verifies: bool) -> str | None:
    """Why the command has not answered; None where it has.

    It has with exit code 0, or one that the page states, and an answer that names what it was asked for; with no
    answer at all only where the page says what that means.
    """
    allowed = step.codes & VERIFIED_CODES if verifies else step.codes
    if ran.code and ran.code not in allowed:
        return f"exit {ran.code}"
    if not ran.said.strip():
        return None if step.silent and QUERY in ran.command else "it shows nothing"
    missing = list(_lacking(ran, variables))
    return f"it does not show {', '.join(missing)}" if missing else None


def _lacking(ran: Ran, variables: Mapping[str, str]) -> Iterator[str]:
    if QUERY in ran.command:
        yield from _of_query(ran)
        return
    if not ran.command.startswith("ops "):
        return
    if ran.code and any(word in ran.said for word in _of_command(FAILED, ran.command)):
        return
    yield from (word for word in _of_command(SHOWS, ran.command) if word not in ran.said)
    given = (variables[name] for name in NAMED if f"${name}" in ran.command and name in variables)
    if not ran.command.startswith("ops stack logs"):  # a program does not name itself in its log
        yield from (value for value in given if value not in ran.said)


def _of_command(words: Mapping[str, tuple[str, ...]], command: str) -> tuple[str, ...]:
    return next((found for begin, found in words.items() if command.startswith(begin)), ())


def _of_query(ran: Ran) -> Iterator[str]:
    """A number, and of what it is."""
    samples = [labels for labels, value in _SAMPLE.findall(ran.said) if value != "NaN"]
    if not samples:
        yield "a number"
        return
    if metric := _METRIC.search(ran.command):
        names = [metric[1]]
    else:
        first = _BY.search(ran.command)
        names = [f"{label.strip()}=" for label in first[1].split(",")] if first else []
    yield from (name for name in names if not any(name in labels for labels in samples))
