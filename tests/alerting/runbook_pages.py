"""What is wrong with runbooks, as a list: links that lead nowhere, commands that would not run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import typer
from typer.core import TyperGroup

from ops.alerting import queries
from ops.alerting.catalogue import Source
from ops.alerting.commands import STACK_VARIABLES, Call, CommandFault, calls, filled, followed, label_values, variables
from ops.alerting.model import Alert
from ops.alerting.runbooks import commands
from ops.cli.main import NOUNS, _root

STAND_INS = {"PROMETHEUS": "http://127.0.0.1:9090", "ALERTMANAGER": "http://127.0.0.1:9093", "RUN_DIR": ".stack"}
USAGE_ERROR = typer.BadParameter.__base__
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def dead_links(page: Path) -> Iterator[str]:
    """Relative links of a page to files or headings that are not there."""
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists():
            yield f"{page.name}: {target} is not there"
        elif anchor and anchor not in _anchors(file):
            yield f"{page.name}: {target} names no heading"


def command_faults(alert: Alert, recorded: frozenset[str]) -> Iterator[str]:
    """Commands of an alert's page that could not run as written, whatever the state of the service."""
    given = {**STAND_INS, **_label_values(alert)}
    for line in commands(alert):
        try:
            for name in variables([line]):
                if name not in given:
                    raise CommandFault(f"the alert does not set ${name}: {line}")
            for call in calls(line):
                words = tuple(filled(word, given) for word in call.words)
                check_call(Call(words, call.behind_pipe), recorded)
        except (CommandFault, queries.QueryError) as e:
            yield f"{alert.name}: {e}"


def check_call(call: Call, recorded: frozenset[str]) -> None:
    """Raises CommandFault, QueryError."""
    if call.program == "ops":
        _check_ops(call.words[1:])
    if call.program == "promtool":
        if call.words[1:3] != ("query", "instant") or len(call.words) != 5:
            raise CommandFault(f"not as in `promtool query instant URL EXPRESSION`: {call.words}")
        queries.check(call.words[4], recorded, frozenset(Source))
    if call.program == "curl" and not any(word.startswith("http") for word in call.words):
        raise CommandFault(f"curl is given no URL: {call.words}")


def _check_ops(words: tuple[str, ...]) -> None:
    """Parsed by the program's own command line, which runs nothing here."""
    command = typer.main.get_command(_root(list(words), NOUNS))
    name, rest, parent = "ops", list(words), None
    try:
        while True:
            context = command.make_context(name, rest, parent=parent)
            if not isinstance(command, TyperGroup):
                if context.params.get("yes") is False:
                    raise CommandFault(f"it asks, where the page is what was decided by: give it --yes: {words}")
                return
            name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            if found is None or name is None:
                raise CommandFault(f"no such command: {words}")
            command, parent = found, context
    except typer.Exit:
        return  # --help and --version end here
    except USAGE_ERROR as e:
        raise CommandFault(f"ops {' '.join(words)}: {e.format_message()}") from e


def _label_values(alert: Alert) -> Mapping[str, str]:
    """The variables that every firing of the alert sets, as its rule tests show."""
    shown = [labels for case in alert.cases if case.fires for labels in case.labels]
    common = set.intersection(*(set(labels) for labels in shown)) if shown else set()
    return label_values(dict.fromkeys(followed(common | set(alert.labels)), "x"))


def _anchors(file: Path) -> set[str]:
    headings = _HEADING.findall(file.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


assert set(STAND_INS) == set(STACK_VARIABLES)
