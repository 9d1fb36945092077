"""``ops load certify``: something is broken on purpose under load; does the right alert fire, in time?"""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.output import CommandError, confirm, emit_json, exit_with, fail_usage, progress
from ops.loadtest.certifying.breaches import BREACHES, BY_NAME
from ops.verdict import EXIT_CODES, Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from ops.loadtest.certifying.breaches import Breach
    from ops.loadtest.certifying.proving import Proof
    from ops.loadtest.certifying.running import Interrupted
    from ops.stack.state import StackState
    from ops.verdict import Verdict

SCALE_MAX = 1.0
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NAMES = ", ".join(BY_NAME)


def certify(
    breaches: Annotated[
        list[str] | None, typer.Argument(help=f"Of {_NAMES}; without one, all of them, one after the other.")
    ] = None,
    run_dir: Annotated[Path, typer.Option(help="The stack's folder.")] = Path(".stack"),
    runbooks: Annotated[Path, typer.Option(help="Where the pages lie to which alerts lead.")] = Path("runbooks"),
    scale: Annotated[
        float | None, typer.Option(help="Part of the promised rate; by default by this machine's cores.", max=SCALE_MAX)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of arrivals and requests.")] = 1,
    despite_warnings: Annotated[
        bool, typer.Option("--despite-warnings", help="Warnings may fire before: a breach leaves some for days.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Break the engines without being asked.")] = False,
    json: Annotated[bool, typer.Option("--json", help="For machines: gratefulgpt.load-certify/1.")] = False,
) -> None:
    """Break the engines of the local stack under load, and show that the right alert fires, in time, with its runbook.

    Only simulated engines are ever broken, and only a stack's of this machine. The breach is taken back at the end,
    also after Ctrl-C. Exit 0 pass; 1 fail (the alert did not fire in time, did not end, or leads to no page); 2 usage,
    or nothing to break; 3 inconclusive (broken off); 4 invalid (another alert fired before, the client saw no breach,
    Prometheus or Alertmanager was away or has other rules).
    """
    from ops.loadtest.certifying.setting import scale_here

    chosen = _chosen(breaches or [])
    if scale is not None and scale <= 0:
        fail_usage("--scale must be more than 0")
    if not runbooks.is_dir():
        fail_usage(f"there is no folder {runbooks} of runbooks (--runbooks): `ops alerts render` writes them")
    state = _stack(run_dir)
    how = _How(runbooks, scale_here() if scale is None else scale, seed, despite_warnings, yes, json)
    exit_with(_ran(_certify(state, chosen, how)))


def _ran(work: Coroutine[object, object, Verdict]) -> Verdict:
    """Raises CommandError where a second signal ended it at once."""
    try:
        return asyncio.run(work)
    except asyncio.CancelledError as e:
        raise CommandError("broken off at once: nothing has been shown", EXIT_CODES[Outcome.INCONCLUSIVE]) from e


def _chosen(names: Sequence[str]) -> Sequence[Breach]:
    for name in names:
        if name not in BY_NAME:
            near = get_close_matches(name, BY_NAME, 1)
            fail_usage(f"there is no breach {name!r}{f': did you mean {near[0]}?' if near else ':'} there are {_NAMES}")
    return [BY_NAME[name] for name in dict.fromkeys(names)] or BREACHES


def _stack(run_dir: Path) -> StackState:
    from ops.stack.state import StackError, load_stack

    try:
        state = load_stack(run_dir)
    except StackError as e:
        raise CommandError(str(e)) from e
    for name, url in (("Prometheus", state.prometheus_url), ("Alertmanager", state.alertmanager_url)):
        if url is None:
            words = f"the stack in {run_dir} has no {name}, so no alert can be seen: --{name.lower()} on"
            raise CommandError(words, EXIT_CODES[Outcome.INVALID])
    return state


@dataclass(frozen=True)
class _How:
    """What was asked for, besides the breaches."""

    runbooks: Path
    scale: float
    seed: int
    despite_warnings: bool
    yes: bool
    json: bool


async def _certify(state: StackState, chosen: Sequence[Breach], how: _How) -> Verdict:
    import aiohttp

    from ops.adapters.spec_file import load_spec
    from ops.alerting.rules import families
    from ops.loadtest.certifying.proving import prove
    from ops.loadtest.certifying.running import Interrupted, Scene
    from ops.loadtest.certifying.setting import check_no_rollout, mixed, simulated_engines
    from ops.loadtest.certifying.watching import Watch
    from ops.loadtest.preparing import CannotRun
    from ops.stack.monitoring import rules_of_stack

    spec = load_spec(Path(state.spec_path))
    async with aiohttp.ClientSession() as session:
        try:
            engines = await simulated_engines(state, session)
            await check_no_rollout(state)
            confirm(_what(state, chosen, len(engines.urls)), how.yes)
            plan, rate = await asyncio.to_thread(mixed, spec, state.gateway_url, how.scale, how.seed)
        except CannotRun as e:
            raise CommandError(str(e)) from e
        watch = Watch(state.prometheus_url or "", state.alertmanager_url or "")
        interrupted = Interrupted()
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for number in _ENDS:
            loop.add_signal_handler(number, _end, interrupted, signal.Signals(number).name, task)
        scene = Scene(spec, plan, rate, engines, watch, how.runbooks, interrupted, progress)
        groups = [group for some in families(spec).values() for group in some]
        files = rules_of_stack(spec, state.exporter_urls)
        verdict, proofs = await prove(scene, chosen, groups, files, how.despite_warnings)
    _show(verdict, proofs, rate, how)
    return verdict


def _end(interrupted: Interrupted, name: str, task: asyncio.Task[Verdict] | None) -> None:
    """The first signal ends the trial in order, a second one at once; the breach is taken back by either."""
    if not interrupted.why:
        interrupted.set(name)
        progress(f"{name}: the breach is taken back")
    elif task is not None:
        task.cancel()


def _what(state: StackState, chosen: Sequence[Breach], engines: int) -> str:
    what = "; then ".join(one.words for one in chosen)
    count = "the simulated engine" if engines == 1 else f"all {engines} simulated engines"
    return f"breaks {count} of the stack in {state.run_dir} under load, for some minutes: {what}"


def _show(verdict: Verdict, proofs: Sequence[Proof], rate: float, how: _How) -> None:
    from ops.loadtest.certifying.telling import SCHEMA, certified_json, print_certified

    if how.json:
        emit_json(SCHEMA, certified_json(verdict, proofs, how.scale, rate))
    else:
        print_certified(verdict, proofs, sys.stdout)
