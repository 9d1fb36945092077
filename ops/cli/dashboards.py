"""``ops dashboards``: what Grafana shows, from the spec."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Annotated

import typer

from ops.adapters import generated_files
from ops.adapters.spec_file import load_spec
from ops.cli.alerts_options import queries_checked
from ops.cli.dashboards_apply import SpecFile, apply, diff
from ops.cli.output import progress
from ops.cli.spec import DEFAULT_FILE
from ops.dashboarding.files import DASHBOARDS, files
from ops.verdict import EXIT_CODES, Outcome

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--root", metavar="FOLDER", help="Where the folder dashboards lies.")]

app.command()(apply)
app.command()(diff)


@app.command()
def render(spec: SpecFile = DEFAULT_FILE, root: Folder = Path(".")) -> None:
    """Write the dashboards as Grafana's JSON."""
    changed = generated_files.write(root, _files(spec), (DASHBOARDS,))
    progress("\n".join(f"wrote {path}" for path in changed) or "all files are up to date")


@app.command()
def check(spec: SpecFile = DEFAULT_FILE, root: Folder = Path(".")) -> None:
    """Compare the files with the spec. Exit 1 and the difference where they disagree."""
    found = generated_files.differences(root, _files(spec), (DASHBOARDS,))
    for one in found:
        print(one.text, end="")
    if found:
        raise typer.Exit(EXIT_CODES[Outcome.FAIL])
    progress("all files are as the spec has them")


def _files(spec: Path) -> dict[PurePath, str]:
    loaded = load_spec(spec)
    with queries_checked():
        return files(loaded)
