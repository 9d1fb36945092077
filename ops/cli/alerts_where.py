"""Which Prometheus and which Alertmanager a command of ``ops alerts`` asks: those named, or the local stack's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.output import CommandError
from ops.verdict import EXIT_CODES, Outcome

RunDir = Annotated[Path, typer.Option("--run-dir", metavar="FOLDER", help="The folder of the stack.")]
Prometheus = Annotated[str | None, typer.Option("--prometheus", metavar="URL", help="A Prometheus elsewhere.")]
Alertmanager = Annotated[str | None, typer.Option("--alertmanager", metavar="URL", help="An Alertmanager elsewhere.")]
STACK_FOLDER = Path(".stack")
_UNKNOWN = EXIT_CODES[Outcome.INVALID]


def prometheus_of(url: str | None, run_dir: Path) -> str:
    """Raises CommandError if none is named and no stack with one runs."""
    from ops.stack.state import StackError, load_stack

    if url is not None:
        return url.rstrip("/")
    try:
        found = load_stack(run_dir).prometheus_url
    except StackError as e:
        raise CommandError(f"{e}; or name a Prometheus with --prometheus URL", _UNKNOWN) from e
    if found is None:
        raise CommandError(f"the stack in {run_dir} has no Prometheus: start it with --prometheus on", _UNKNOWN)
    return found


def alertmanager_of(url: str | None, prometheus: str | None, run_dir: Path) -> str:
    """The one named, or the first that Prometheus tells. Raises CommandError if there is none."""
    from ops.adapters.firing_alerts import alertmanager_url
    from ops.adapters.monitoring_http import MonitoringError

    if url is not None:
        return url.rstrip("/")
    asked = prometheus_of(prometheus, run_dir)
    try:
        found = asyncio.run(alertmanager_url(asked))
    except MonitoringError as e:
        raise CommandError(f"{e}; name an Alertmanager with --alertmanager URL", _UNKNOWN) from e
    if found is None:
        raise CommandError(f"{asked} tells no Alertmanager: name one with --alertmanager URL", _UNKNOWN)
    return found
