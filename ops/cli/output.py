"""What commands share: results to stdout, progress to stderr, one way to fail and one way to ask."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
import typer

from ops.verdict import EXIT_USAGE, Verdict

PLAIN_WIDTH = 120
"""Columns where no terminal says otherwise."""


class CommandError(Exception):
    """A command that cannot go on: one line for stderr and an exit code. ``main`` prints it."""

    def __init__(self, message: str, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def fail_usage(message: str) -> NoReturn:
    """Wrong usage or configuration: nothing was done, exit code 2."""
    raise CommandError(message, EXIT_USAGE)


def exit_with(verdict: Verdict) -> NoReturn:
    """Ends the command with the verdict's exit code."""
    raise typer.Exit(verdict.exit_code)


def emit_json(schema: str, data: Mapping[str, object]) -> None:
    """One JSON object on stdout. ``schema`` names its shape and version, as in ``gratefulgpt.spec/1``.

    Values may be structs, dataclasses and enums, nested at will; a number that is not finite becomes null.
    """
    print(msgspec.json.format(msgspec.json.encode({"schema": schema, **data}), indent=2).decode())


def emit_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout. Cells are shown as they are; None is an empty one; numbers stand to the right."""
    # Here, because rich takes longer to import than most commands take to run.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(texts) and all(_is_figure(row[i]) for row in texts)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in texts:
        table.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    console = Console(file=sys.stdout, width=width, highlight=False)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _is_figure(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "-+."


def progress(message: str) -> None:
    """One line on stderr, where it disturbs no result."""
    print(message, file=sys.stderr, flush=True)


def confirm(what: str, yes: bool) -> None:
    """Says what will be done and asks, unless ``yes``. Raises CommandError where nobody agrees, or nobody is there."""
    if yes:
        progress(what)
        return
    if not sys.stdin.isatty():
        fail_usage(f"{what}: needs --yes where nobody can be asked")
    print(f"{what}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        fail_usage("nothing was done")


def write_result(text: str, output: Path | None) -> None:
    """The text to a file, or to stdout where none is named. Raises CommandError if the file cannot be written."""
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as e:
        raise CommandError(f"{output} cannot be written: {e.strerror}") from e
    progress(f"wrote {output}")
