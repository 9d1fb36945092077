"""Options that several commands of ``ops alerts`` have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ops.alerting.queries import QueryError
from ops.cli.output import CommandError
from ops.verdict import EXIT_CODES, Outcome

SpecFile = Annotated[Path, typer.Option("--spec", metavar="FILE", help="The spec's file.")]
Folder = Annotated[Path, typer.Option("--root", metavar="FOLDER", help="Where the folders alerts and runbooks lie.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


@contextmanager
def queries_checked() -> Iterator[None]:
    """A rule that reads what nothing exposes would never fire: it is told, and nothing is written."""
    try:
        yield
    except QueryError as e:
        message = f"a rule or panel cannot be rendered, and nothing was written: {e}"
        raise CommandError(message, EXIT_CODES[Outcome.INVALID]) from e
