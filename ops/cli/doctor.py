"""``ops doctor``: what this machine lacks, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.output import emit_json, emit_table
from ops.stack import machine
from ops.stack.machine import Finding, finding
from ops.stack.options import PORT_DEFAULT

app = typer.Typer(help="Say what this machine lacks, and how to get it.")


@app.command()
def doctor(
    spec: Annotated[Path, typer.Option(help="The spec of the service.")] = Path("gratefulgpt.yaml"),
    run_dir: Annotated[Path, typer.Option(help="Where the stack would write.")] = Path(".stack"),
    port: Annotated[int, typer.Option(help="Where the public API would listen.")] = PORT_DEFAULT,
    json: Annotated[bool, typer.Option("--json", help="For machines: gratefulgpt.doctor/1.")] = False,
) -> None:
    """Look at everything the stack needs or can use; each lack has one line that mends it.

    Exit 0 if nothing required is missing, 1 otherwise.
    """
    findings = list(_findings(spec, run_dir, port))
    healthy = all(item.ok for item in findings if item.required)
    if json:
        emit_json("gratefulgpt.doctor/1", {"healthy": healthy, "findings": [asdict(item) for item in findings]})
    else:
        rows = [(_mark(item), item.name, item.found, item.mend) for item in findings]
        emit_table("What this machine has", ("", "what", "found", "mend"), rows)
    raise typer.Exit(0 if healthy else 1)


def _mark(item: Finding) -> str:
    if item.ok:
        return "ok"
    return "MISSING" if item.required else "optional"


def _findings(spec: Path, run_dir: Path, port: int) -> Iterator[Finding]:
    yield machine.python()
    yield machine.system()
    yield from machine.packages()
    yield machine.postgres_wheel()
    yield _spec(spec)
    yield machine.writable(run_dir)
    yield machine.disk(run_dir)
    yield machine.memory()
    yield machine.cores()
    yield _port(port, run_dir)
    yield from machine.programs()
    yield machine.vllm()
    yield machine.tiny_models()


def _spec(path: Path) -> Finding:
    try:
        from ops.adapters.spec_file import load_spec
        from ops.spec.faults import SpecError
    except ImportError as e:
        return Finding("spec", False, True, f"cannot be read without {e.name}", "see the packages above")
    try:
        load_spec(path)
    except SpecError as e:
        faults = f"{len(e.faults)} fault{'s' if len(e.faults) > 1 else ''}"
        return Finding("spec", False, True, f"{path}: {faults}", f"ops spec check {path}")
    return Finding("spec", True, True, str(path))


def _port(port: int, run_dir: Path) -> Finding:
    """Taken by our own stack is as it should be."""
    try:
        from ops.adapters.ports import holder, is_free
        from ops.stack.state import StackError, load_stack
    except ImportError as e:
        return Finding("public port", False, True, f"cannot be asked without {e.name}", "see the packages above")
    free = is_free(port)
    found = f"{port} is free" if free else f"{port} is taken by {holder(port)}"
    if not free:
        try:
            free = load_stack(run_dir).gateway_url.endswith(f":{port}")
        except StackError:
            free = False
        found = f"{port} serves the stack in {run_dir}" if free else found
    return finding("public port", free, False, found, "end that, or ops stack up --port 0")
