"""``ops alerts``: rules, their tests and runbooks from the spec."""

from __future__ import annotations

from pathlib import Path

import typer

from ops.adapters import generated_files
from ops.adapters.spec_file import load_spec
from ops.alerting.files import ALERTS, RUNBOOKS, files
from ops.cli import alerts_silence
from ops.cli.alerts_apply import apply
from ops.cli.alerts_env import env
from ops.cli.alerts_options import Folder, SpecFile, queries_checked
from ops.cli.alerts_status import status
from ops.cli.alerts_test import run_tests
from ops.cli.output import progress
from ops.cli.spec import DEFAULT_FILE
from ops.verdict import EXIT_CODES, Outcome

app = typer.Typer(no_args_is_help=True)

FOLDERS = (ALERTS, RUNBOOKS)

app.command()(env)
app.command()(apply)
app.command()(status)
app.command("test")(run_tests)
app.add_typer(alerts_silence.app, name="silence")


@app.command()
def render(spec: SpecFile = DEFAULT_FILE, root: Folder = Path(".")) -> None:
    """Write the rules, their tests, the Alertmanager's configuration and the runbooks."""
    with queries_checked():
        wanted = files(load_spec(spec))
    changed = generated_files.write(root, wanted, FOLDERS)
    progress("\n".join(f"wrote {path}" for path in changed) or "all files are up to date")


@app.command()
def check(spec: SpecFile = DEFAULT_FILE, root: Folder = Path(".")) -> None:
    """Compare the files with the spec. Exit 1 and the difference where they disagree."""
    with queries_checked():
        wanted = files(load_spec(spec))
    found = generated_files.differences(root, wanted, FOLDERS)
    for one in found:
        print(one.text, end="")
    if found:
        raise typer.Exit(EXIT_CODES[Outcome.FAIL])
    progress("all files are as the spec has them")
