"""Options that several commands of ``ops alerts`` have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SpecFile = Annotated[Path, typer.Option("--spec", metavar="FILE", help="The spec's file.")]
Folder = Annotated[Path, typer.Option("--root", metavar="FOLDER", help="Where the folders alerts and runbooks lie.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
