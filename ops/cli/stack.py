"""``ops stack``: the local stack on this machine."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ops.cli.output import CommandError, emit_json, emit_table, fail_usage, progress
from ops.stack.options import PORT_DEFAULT, Choice, Counters, Omitted, StackOptions

if TYPE_CHECKING:
    from ops.stack.running import Running
    from ops.stack.state import StackState

T = TypeVar("T")

EXIT_FAILED = 1
LOG_LINES = 20
LOG_POLL_SECONDS = 0.2

app = typer.Typer(help="The local stack: up, status, restart, logs, down.", no_args_is_help=True)
RunDir = Annotated[Path, typer.Option(help="The folder of everything that the stack writes.")]
RUN_DIR = Path(".stack")


@app.command()
def up(
    run_dir: RunDir = RUN_DIR,
    spec: Annotated[Path, typer.Option(help="The spec of the service.")] = Path("gratefulgpt.yaml"),
    environment: Annotated[str, typer.Option(help="Which of the spec's environments it plays.")] = "development",
    workers: Annotated[int, typer.Option(help="Gateway workers, all on the public port.")] = 2,
    engine: Annotated[str, typer.Option(help="What engines are by default: simulated or vllm.")] = "simulated",
    port: Annotated[int, typer.Option(help="Of the public API; 0 takes a free one.")] = PORT_DEFAULT,
    database_url: Annotated[
        str | None, typer.Option(help="A PostgreSQL that runs already.", envvar="OPS_DATABASE_URL", show_envvar=True)
    ] = None,
    postgres_bin: Annotated[Path | None, typer.Option(help="The folder of another PostgreSQL's programs.")] = None,
    prometheus: Annotated[Choice, typer.Option(help="auto: if it is installed.")] = Choice.AUTO,
    alertmanager: Annotated[Choice, typer.Option(help="auto: if it and Prometheus are installed.")] = Choice.AUTO,
    exporters: Annotated[
        Choice, typer.Option(help="Of the machine and the database; auto: those that are installed, with Prometheus.")
    ] = Choice.AUTO,
    counters: Annotated[
        Counters, typer.Option(help="Where the controller reads the judge's counters: from the workers, or Prometheus.")
    ] = Counters.DIRECT,
    without: Annotated[list[Omitted] | None, typer.Option(help="Leave a part out; may be given again.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is healthy; it runs on.")] = False,
) -> None:
    """Start the stack and keep it until Ctrl-C or SIGTERM; a second Ctrl-C ends it at once.

    Exit 0 after a clean end; 1 if a program does not become healthy or the supervisor dies; 2 if the stack cannot be
    started as asked (one runs already, a port is taken, a faulty spec).
    """
    options = StackOptions(
        run_dir=run_dir,
        environment=environment,
        spec=spec,
        workers=workers,
        engine=engine,
        port=port,
        database_url=database_url,
        postgres_bin=postgres_bin,
        prometheus=prometheus,
        alertmanager=alertmanager,
        exporters=exporters,
        counters=counters,
        without=frozenset(without or ()),
        outlives_parent=detach,
    )
    raise typer.Exit(_run(_up(options, detach)))


@app.command()
def status(
    run_dir: RunDir = RUN_DIR,
    json: Annotated[bool, typer.Option("--json", help="For machines: gratefulgpt.stack-status/1.")] = False,
) -> None:
    """Ask every part how it is. Exit 0 if all is healthy, 1 if not or if no stack runs."""
    raise typer.Exit(_run(_status(run_dir.absolute(), json)))


@app.command()
def restart(
    name: Annotated[str | None, typer.Argument(help="A program, as `ops stack status` names it.")] = None,
    tier: Annotated[str | None, typer.Option(help="Instead of a program: the engines of this tier, in turn.")] = None,
    unhealthy: Annotated[bool, typer.Option("--unhealthy", help="Instead: each part that is not well.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Kill it, instead of letting it finish what it does.")] = False,
    run_dir: RunDir = RUN_DIR,
) -> None:
    """End one program and start it again, after the supervisor gave up on it too; returns once it is healthy.

    Exit 1 if it does not end or does not become healthy; 2 if the stack has no such program.
    """
    if sum((name is not None, tier is not None, unhealthy)) != 1:
        fail_usage("name a program, or a --tier, or say --unhealthy: one of the three")
    raise typer.Exit(_run(_restart(run_dir.absolute(), name, tier, now)))


@app.command()
def down(run_dir: RunDir = RUN_DIR) -> None:
    """End the stack, whoever started it: gateways drain first, the database goes last. Its data stay."""
    from ops.stack.ending import down as end_stack

    if not _run(end_stack(run_dir.absolute(), progress)):
        progress(f"no stack runs in {run_dir}")


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="A program; without it, all of them.")] = None,
    run_dir: RunDir = RUN_DIR,
    lines: Annotated[int, typer.Option(help="How many of the last lines, per program.", min=0, max=10_000)] = LOG_LINES,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they are written, until Ctrl-C.")] = False,
) -> None:
    """Show what programs have logged; those of a stack that has ended too."""
    from ops.stack.logs import LogFollower, log_files

    folder = run_dir / "logs"
    files = log_files(folder)
    if name is not None and name not in files:
        fail_usage(f"no log of {name!r} in {folder}: there are {', '.join(files) or 'none'}")
    follower = LogFollower(folder, name)
    for line in follower.last(lines):
        typer.echo(line)
    while follow:
        time.sleep(LOG_POLL_SECONDS)
        for line in follower.new():
            typer.echo(line)


def _run(work: Coroutine[object, object, T]) -> T:
    """Runs it; what cannot be done as asked is a usage error, what failed is exit 1."""
    from ops.stack.running import StartFailed
    from ops.stack.state import NotRunning, StackError

    try:
        return asyncio.run(work)
    except (StartFailed, NotRunning) as e:
        raise CommandError(str(e), EXIT_FAILED) from e
    except StackError as e:
        raise CommandError(str(e)) from e


async def _up(options: StackOptions, detach: bool) -> int:
    from ops.stack.ending import end
    from ops.stack.running import up as start

    stopping, hurry = asyncio.Event(), asyncio.Event()
    starting = asyncio.create_task(start(options, progress))
    _on_signals(stopping, hurry, starting)
    try:
        running = await starting
    except asyncio.CancelledError:
        progress("ended before it was up")
        return EXIT_FAILED
    _show(running.state)
    if detach:
        progress(f"it runs on; end it with `ops stack down --run-dir {options.run_dir}`")
        return 0
    progress("Ctrl-C ends it")
    died = asyncio.create_task(asyncio.to_thread(running.guard.wait))
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait((died, asked), return_when=asyncio.FIRST_COMPLETED)
    if stopping.is_set():
        progress("ending; a second Ctrl-C ends it at once")
        await end(running.state, progress, hurry)
        await died
        return 0
    asked.cancel()
    return _supervisor_ended(died.result(), running)


def _supervisor_ended(code: int, running: Running) -> int:
    from ops.stack.state import forget_stack

    if code == 0:
        progress("ended by `ops stack down`")
        return 0
    forget_stack(running.state)
    progress(f"the supervisor died (status {code}); its programs have been ended, see {running.state.folder.logs}")
    return EXIT_FAILED


def _on_signals(stopping: asyncio.Event, hurry: asyncio.Event, starting: asyncio.Task[Running]) -> None:
    """The first signal ends the stack in order, or cancels its start; the second one hurries."""

    def react() -> None:
        if stopping.is_set():
            hurry.set()
        stopping.set()
        if not starting.done():
            starting.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, react)


def _show(state: StackState) -> None:
    rows = [("public API", state.gateway_url), ("its documentation", f"{state.gateway_url}/docs")]
    rows += [(f"{worker.name}, metrics", f"{worker.admin_url}/metrics") for worker in state.workers]
    rows += [("controller", state.controller_url), ("database", state.database_url)]
    rows += [("Prometheus", state.prometheus_url or "not installed, or off")]
    rows += [("Alertmanager", state.alertmanager_url or "not installed, or off"), ("logs", str(state.folder.logs))]
    emit_table(f"The stack, as {state.environment}", ("part", "where"), rows)


async def _status(run_dir: Path, as_json: bool) -> int:
    from ops.stack.state import load_secrets, load_stack
    from ops.stack.status import status as ask

    state = load_stack(run_dir)
    found = await ask(state, load_secrets(run_dir))
    if as_json:
        emit_json("gratefulgpt.stack-status/1", {"healthy": found.healthy, "stack": state, "parts": found.parts})
    else:
        rows = [
            (part.name, part.detail, part.pid, _duration(part.uptime_seconds), part.url) for part in found.parts
        ]
        emit_table(f"The stack in {run_dir}", ("part", "health", "pid", "up", "where"), rows)
    return 0 if found.healthy else EXIT_FAILED


async def _restart(run_dir: Path, name: str | None, tier: str | None, now: bool) -> int:
    """Without name and tier: whatever is not well."""
    from ops.stack.restarting import engines_of, not_well
    from ops.stack.restarting import restart as restart_program
    from ops.stack.state import load_secrets, load_stack

    state, secrets = load_stack(run_dir), load_secrets(run_dir)
    if name is not None:
        chosen: tuple[str, ...] = (name,)
    else:
        chosen = await engines_of(state, tier) if tier is not None else await not_well(state, secrets)
    for one in chosen:
        await restart_program(state, secrets, one, progress, now)
    if not chosen:
        progress("all parts are well: nothing was restarted")
    return 0


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
