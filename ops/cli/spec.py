"""``ops spec``: check, show and compile the spec, and write its JSON Schema."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ops.adapters.spec_file import load_spec
from ops.cli.output import emit_json, write_result
from ops.cli.spec_tables import emit_spec_tables, shown_values
from ops.spec.compiling import compile_serving, spec_digest
from ops.spec.faults import Fault, SpecError
from ops.spec.schema import schema_text
from ops.verdict import EXIT_USAGE

app = typer.Typer(no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The spec's file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file instead of stdout.")]

DEFAULT_FILE = Path("gratefulgpt.yaml")


@app.command()
def check(file: File = DEFAULT_FILE, json: Json = False) -> None:
    """Find every fault of the spec at once.

    Types, ranges, unknown keys, contradictions. Exit 0 if there is none, else 2.
    """
    if not json:
        spec = load_spec(file)
        print(
            f"{file} is sound (tiers: {len(spec.tiers)}, task classes: {len(spec.task_classes)}, "
            f"tasks: {len(spec.api.tasks)}, environments: {len(spec.environments)})"
        )
        print(f"digest {spec_digest(spec)}")
        return
    faults: tuple[Fault, ...] = ()
    digest = None
    try:
        digest = spec_digest(load_spec(file))
    except SpecError as e:
        faults = e.faults
    found = {"file": str(file), "sound": not faults, "digest": digest, "faults": [asdict(fault) for fault in faults]}
    emit_json("gratefulgpt.spec-check/1", found)
    if faults:
        raise typer.Exit(EXIT_USAGE)


@app.command()
def show(file: File = DEFAULT_FILE, json: Json = False) -> None:
    """Show what the spec says.

    Of the addresses of webhooks, which are often secrets, the hosts only.
    """
    spec = load_spec(file)
    if json:
        emit_json("gratefulgpt.spec/1", {"digest": spec_digest(spec), "spec": shown_values(spec)})
    else:
        emit_spec_tables(spec)


@app.command("compile")
def compile_(file: File = DEFAULT_FILE, output: Output = None) -> None:
    """Compile the gateway's configuration."""
    encoded = msgspec.json.encode(compile_serving(load_spec(file)))
    write_result(msgspec.json.format(encoded, indent=2).decode() + "\n", output)


@app.command()
def schema(output: Output = None) -> None:
    """Write the spec's JSON Schema, for editors."""
    write_result(schema_text(), output)
