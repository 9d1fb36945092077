"""The command lines of runbooks: which programs they call with which words, and which variables they need. Pure.

A runbook's command is a line of POSIX shell: simple commands, joined by pipes or ``&&``; loops and the like are for
scripts, not for somebody on call.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

STACK_VARIABLES = ("PROMETHEUS", "ALERTMANAGER", "RUN_DIR")
"""Where the stack is; known without an alert."""
LABEL_VARIABLES: Mapping[str, str] = {
    name: name.upper()
    for name in (
        *("tier", "task_class", "objective", "event", "task", "arm", "release", "state", "status", "limit", "kind"),
        *("instance", "job", "worker", "model_name", "engine", "reason", "device", "mountpoint", "gpu", "datname"),
        *("server", "integration", "rule_group", "replica"),
    )
}
FOLLOWING: Mapping[str, tuple[str, ...]] = {"instance": ("replica", "tier"), "tier": ("release",)}
"""Labels that ``ops alerts env`` finds by one that the alert has: the scraped target's own, and the release to which
most of the tier's requests go."""
"""Labels of alerts that become variables. A fixed list: a label named ``path`` must not become ``PATH``."""
PROGRAMS = frozenset({"ops", "promtool", "amtool", "curl", "psql", "kubectl", "df", "du", "free", "top", "nvidia-smi"})
"""What a runbook may call: ours, Prometheus's, and what a Linux machine that runs the service has."""
FILTERS = frozenset({"grep", "head", "tail", "sort", "python3"})
"""What may stand behind a pipe."""
_FORGET = f"unset {' '.join((*STACK_VARIABLES, *LABEL_VARIABLES.values()))}\n"
REFUSAL = _FORGET + "false\n"
"""For ``eval``: no variable of an earlier alert stays, and it fails."""
_VARIABLE = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)\}?")
_JOINTS = frozenset({"|", "&&", ";"})


class CommandFault(ValueError):
    """A command line that would not run as it stands. The message says why."""


@dataclass(frozen=True)
class Call:
    """One program of a line. ``words`` still have their variables."""

    words: tuple[str, ...]
    behind_pipe: bool = False

    @property
    def program(self) -> str:
        return self.words[0]


def calls(line: str) -> tuple[Call, ...]:
    """Every program of the line with its words. Raises CommandFault."""
    if frozen := _in_single_quotes(line):
        raise CommandFault(f"no shell fills in ${frozen} between single quotes: {line}")
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError as e:
        raise CommandFault(f"{e}: {line}") from e
    found: list[Call] = []
    current: list[str] = []
    pipe = False
    for word in [*words, ";"]:
        if word not in _JOINTS:
            if set(word) <= set("|&;<>"):
                raise CommandFault(f"{word!r} has no place in a runbook: {line}")
            current.append(word)
            continue
        if not current:
            raise CommandFault(f"nothing stands before {word!r}: {line}")
        found.append(Call(tuple(current), pipe))
        current, pipe = [], word == "|"
    for call in found:
        allowed = PROGRAMS | FILTERS if call.behind_pipe else PROGRAMS
        if call.program not in allowed:
            raise CommandFault(f"{call.program} is no program of runbooks: {line}")
    return tuple(found)


def variables(lines: Iterable[str]) -> tuple[str, ...]:
    """The variables that the lines read, in the order of their first use."""
    return tuple(dict.fromkeys(name for line in lines for name in _VARIABLE.findall(line)))


def filled(word: str, values: Mapping[str, str]) -> str:
    """The word with its variables replaced; those without a value stay."""
    return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), word)


def exports(values: Mapping[str, str]) -> str:
    """Lines for ``eval`` of any POSIX shell. No variable of an earlier alert stays."""
    return _FORGET + "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def followed(labels: Iterable[str]) -> frozenset[str]:
    """The labels themselves and those that are found by them."""
    found = frozenset(labels)
    further = found.union(*(FOLLOWING.get(label, ()) for label in found))
    return found if further == found else followed(further)


def label_values(labels: Mapping[str, str]) -> dict[str, str]:
    """The variables that an alert's labels become."""
    return {variable: labels[label] for label, variable in LABEL_VARIABLES.items() if label in labels}


def _in_single_quotes(line: str) -> str | None:
    """A variable that stands where no shell would fill it in."""
    quote = ""
    for at, character in enumerate(line):
        if character in "'\"" and not quote:
            quote = character
        elif character == quote and line[at - 1] != "\\":
            quote = ""
        elif quote == "'" and (variable := _VARIABLE.match(line, at)):
            return variable[1]
    return None
