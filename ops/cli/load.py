"""``ops load``: suites of load, run by Locust, judged against the spec."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ops.cli.load_certify import certify
from ops.cli.output import CommandError, emit_json, exit_with, fail_usage
from ops.verdict import EXIT_CODES, EXIT_USAGE, Outcome
from serving.contract import METRICS_PATH

if TYPE_CHECKING:
    from ops.stack.state import StackState

REPORT_FILE = "report.json"
SCALE_MAX = 1000.0
MASTER_PORT = 5557
"""Locust's own default."""
WORKERS_MAX = 256


class _SuitesFirst(TyperGroup):
    """``ops load stress`` is ``ops load run stress``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            return "run", self.commands["run"], args
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_SuitesFirst, help="Load suites, judged against the spec.", no_args_is_help=True)
app.command()(certify)


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="A suite of the spec: smoke, stress, ...; `run` may be left out.")],
    url: Annotated[str | None, typer.Option(help="The service's base URL; without it, the stack's.")] = None,
    run_dir: Annotated[Path, typer.Option(help="The stack's folder: its URL and its metrics.")] = Path(".stack"),
    spec: Annotated[Path, typer.Option(help="The spec, for suites and targets.")] = Path("gratefulgpt.yaml"),
    scale: Annotated[float, typer.Option(help="Part of the suite's rate and users.", max=SCALE_MAX, min=0)] = 1.0,
    time_scale: Annotated[float, typer.Option(help="Part of the suite's times.", max=SCALE_MAX, min=0)] = 1.0,
    seed: Annotated[int, typer.Option(help="Of arrivals and requests.")] = 1,
    arrivals: Annotated[
        str | None, typer.Option(help="Instead of the suite's: poisson, constant, users, trace.")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="A recorded traffic, JSON lines or CSV: docs/load.md.")] = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave broken lines of the trace out.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that send; 0: one.", min=0, max=WORKERS_MAX)] = 0,
    master: Annotated[
        int, typer.Option(help="Wait for so many workers of other machines.", min=0, max=WORKERS_MAX)
    ] = 0,
    worker: Annotated[str | None, typer.Option(help="Be a worker of the master at HOST or HOST:PORT.")] = None,
    port: Annotated[int, typer.Option(help="Of the master, for its workers.")] = MASTER_PORT,
    metrics_url: Annotated[
        list[str] | None, typer.Option(help="Metrics of each gateway worker; without it, the stack's.")
    ] = None,
    replicas_command: Annotated[str, typer.Option(help="Run at each stage that wants N replicas: COMMAND N.")] = "",
    prometheus: Annotated[
        str, typer.Option(help="PORT or HOST:PORT at which a Prometheus finds the run's own metrics.")
    ] = "",
    folder: Annotated[Path | None, typer.Option(help="For reports; by default build/load/SUITE-TIME.")] = None,
    json: Annotated[bool, typer.Option("--json", help="For machines: gratefulgpt.load/1.")] = False,
) -> None:
    """Run a suite, show how it goes on stderr, and judge it.

    Exit 0 pass; 1 fail; 2 usage, or nothing to test; 3 inconclusive (too few requests); 4 invalid (the generator was
    overloaded, a worker was lost, the gateway counted otherwise). Ctrl-C ends the run; what was measured is reported.
    """
    if sum((workers > 0, master > 0, worker is not None)) > 1:
        fail_usage("--workers, --master and --worker exclude each other")
    if worker is not None:
        host, _, master_port = worker.rpartition(":") if ":" in worker else (worker, "", str(port))
        raise typer.Exit(_locust(suite, ["--worker", "--master-host", host, "--master-port", master_port]))
    _check_suite(suite, spec)
    base, metrics = _service(url, run_dir, metrics_url or [])
    reports = folder or Path("build") / "load" / f"{suite}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}"
    arguments = ["--host", base, "--spec", str(spec), "--scale", str(scale), "--time-scale", str(time_scale)]
    arguments += ["--seed", str(seed), "--folder", str(reports)]
    arguments += ["--replicas-command", replicas_command] if replicas_command else []
    arguments += ["--prometheus", prometheus] if prometheus else []
    arguments += ["--arrivals", arrivals] if arrivals else []
    arguments += ["--trace", str(trace)] if trace else []
    arguments += ["--skip-broken"] if skip_broken else []
    arguments += [part for address in metrics for part in ("--metrics-url", address)]
    arguments += _distribution(workers, master, port)
    if (reports / REPORT_FILE).exists():
        fail_usage(f"{reports} holds the report of another run: choose another --folder")
    code = _locust(suite, arguments)
    if code != EXIT_USAGE:
        _show(reports, code, json)
    raise typer.Exit(code)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="The report of a run (report.json), or its folder.")],
    after: Annotated[Path, typer.Argument(help="Of a later run of the same suite.")],
    spec: Annotated[Path, typer.Option(help="The spec, for what may be worse.")] = Path("gratefulgpt.yaml"),
    json: Annotated[bool, typer.Option("--json", help="For machines: gratefulgpt.load-comparison/1.")] = False,
) -> None:
    """Say whether the second run is worse than the first: shares over targets, percentiles, errors.

    Exit 0 no worse; 1 worse by more than the spec's section load.comparing allows; 2 usage; 3 inconclusive (too few
    requests to tell); 4 invalid (another load, or one of the runs is invalid itself).
    """
    from ops.adapters.spec_file import load_spec
    from ops.loadtest.comparing import compare as compared
    from ops.loadtest.reporting_comparison import SCHEMA, comparison_json, print_comparison
    from ops.loadtest.reporting_document import Unreadable, read_document

    bounds = load_spec(spec).load.comparing
    try:
        one, other = (read_document(path / REPORT_FILE if path.is_dir() else path) for path in (before, after))
    except Unreadable as e:
        fail_usage(str(e))
    comparison = compared(one, other, bounds)
    if json:
        emit_json(SCHEMA, comparison_json(one, other, comparison))
    else:
        print_comparison(other, comparison, sys.stdout)
    exit_with(comparison.verdict)


def _check_suite(name: str, spec: Path) -> None:
    """Before anything is asked for that another name would need too."""
    from ops.adapters.spec_file import load_spec
    from ops.loadtest.suites import unknown_suite

    suites = load_spec(spec).load.suites
    if name not in suites:
        fail_usage(unknown_suite(name, suites))


def _service(url: str | None, run_dir: Path, metrics: list[str]) -> tuple[str, list[str]]:
    """Base URL, and where the gateway's metrics are."""
    from ops.stack.state import StackError, load_stack

    state: StackState | None = None
    try:
        state = load_stack(run_dir)
    except StackError as e:
        if url is None:
            raise CommandError(f"{e} (or name the service: --url)") from e
    if state is not None and (url is None or url.rstrip("/") == state.gateway_url.rstrip("/")):
        return state.gateway_url, metrics or [worker.admin_url.rstrip("/") + METRICS_PATH for worker in state.workers]
    return str(url), metrics


def _distribution(workers: int, master: int, port: int) -> list[str]:
    if workers:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            own = str(free.getsockname()[1])
        return ["--processes", str(workers), "--master-bind-host", "127.0.0.1", "--master-bind-port", own,
                "--master-port", own]  # fmt: skip
    return ["--master", "--expect-workers", str(master), "--master-bind-port", str(port)] if master else []


def _locust(suite: str, arguments: list[str]) -> int:
    """A code of ours; what no verdict stands behind is 4."""
    from importlib.util import find_spec

    from ops.loadtest.launching import run_locust

    if find_spec("locust") is None:
        fail_usage("load suites need Locust: pip install 'gratefulgpt-ops[load]'")
    code = run_locust(suite, arguments)
    return code if code in (*EXIT_CODES.values(), EXIT_USAGE) else EXIT_CODES[Outcome.INVALID]


def _show(folder: Path, code: int, json: bool) -> None:
    """What the run's report says. Raises CommandError where there is none, or it says other than Locust's exit code."""
    from ops.loadtest.reporting_document import Unreadable, document_bytes, read_document
    from ops.loadtest.reporting_terminal import print_summary

    try:
        report = read_document(folder / REPORT_FILE)
    except Unreadable as e:
        message = f"the run left no report, and what came of it is not known: {e}"
        raise CommandError(message, EXIT_CODES[Outcome.INVALID]) from e
    said = EXIT_CODES[Outcome(report.verdict.outcome)]
    if json:
        print(document_bytes(report).decode(), end="")
    else:
        print_summary(report, sys.stdout)
    if said != code:
        message = f"Locust ended with {code}, though the report says {report.verdict.outcome}: it broke after the run"
        raise CommandError(message, EXIT_CODES[Outcome.INVALID])
