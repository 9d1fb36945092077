"""``ops alerts silence``: silences for maintenance windows of the spec or for a while, listed and ended."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from ops.adapters.alertmanager_api import AlertmanagerApi
from ops.adapters.monitoring_http import MonitoringError, Refused
from ops.adapters.spec_file import load_spec
from ops.alerting.silencing import Silence, SilenceError, for_a_while, for_window, parse_duration, parse_matcher
from ops.cli.alerts_options import Json, SpecFile
from ops.cli.alerts_where import STACK_FOLDER, Alertmanager, Prometheus, RunDir, alertmanager_of
from ops.cli.output import CommandError, confirm, emit_json, fail_usage, progress
from ops.cli.spec import DEFAULT_FILE
from ops.spec.alerting import Alerting
from ops.verdict import EXIT_CODES, Outcome

app = typer.Typer(no_args_is_help=True, help="Silence alerts for a time, list silences, end one.")
T = TypeVar("T")
EXPIRED = "expired"


@app.command()
def add(
    window: Annotated[
        str | None, typer.Argument(metavar="WINDOW", help="A maintenance window of the spec: now, or its next.")
    ] = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="From now on for so long: 2h, 1h30m, 45m.")
    ] = None,
    comment: Annotated[str | None, typer.Option("--comment", metavar="TEXT", help="Why.")] = None,
    match: Annotated[
        list[str] | None, typer.Option("--match", metavar="MATCHER", help="As tier=edge, alertname=~Slow.*; repeat.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    spec: SpecFile = DEFAULT_FILE,
    alertmanager: Alertmanager = None,
    prometheus: Prometheus = None,
    run_dir: RunDir = STACK_FOLDER,
    json: Json = False,
) -> None:
    """Silence alerts: nobody is told of them for a time, and they are still shown.

    Either for a maintenance window, with what it names, or --for a time with --comment and --match. No silence is
    longer than the spec allows, and none silences the Watchdog. The same silence twice is one.
    """
    alerting = load_spec(spec).alerting
    try:
        wanted = _wanted(alerting, window, length, comment, match or ())
    except SilenceError as e:
        fail_usage(str(e))
    api = AlertmanagerApi(alertmanager_of(alertmanager, prometheus, run_dir))
    there = next((one for one in _asked(api.silences()) if one.state != EXPIRED and one.same_as(wanted)), None)
    if there is None:
        confirm(f"this silences {_words(wanted)}", yes)
    silence_id = there.id if there else _asked(api.silence(wanted))
    if json:
        emit_json("gratefulgpt.alerts-silence/1", {"made": there is None, "silence": _shown(wanted, silence_id)})
        return
    print(silence_id)
    progress("it was there already" if there else f"ends at {wanted.end:%Y-%m-%d %H:%M} UTC")


@app.command("list")
def list_(
    alertmanager: Alertmanager = None,
    prometheus: Prometheus = None,
    run_dir: RunDir = STACK_FOLDER,
    expired: Annotated[bool, typer.Option("--expired", help="Those that are over too.")] = False,
    json: Json = False,
) -> None:
    """Show the silences that there are, the first to end first."""
    found = _asked(AlertmanagerApi(alertmanager_of(alertmanager, prometheus, run_dir)).silences())
    shown = sorted((one for one in found if expired or one.state != EXPIRED), key=lambda one: one.end)
    if json:
        emit_json("gratefulgpt.alerts-silences/1", {"silences": [_shown(one, one.id) for one in shown]})
        return
    for one in shown:
        print(f"{one.id} {one.state} {one.begin:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M} UTC, by {one.by}")
        print(f"  {' '.join(map(str, one.matchers))}\n  {one.comment}")
    if not shown:
        progress("there are none")


@app.command()
def expire(
    silence_id: Annotated[str, typer.Argument(metavar="ID", help="As `ops alerts silence list` shows it.")],
    alertmanager: Alertmanager = None,
    prometheus: Prometheus = None,
    run_dir: RunDir = STACK_FOLDER,
) -> None:
    """End a silence now: what it hid is told again. One that is over already stays so."""
    api = AlertmanagerApi(alertmanager_of(alertmanager, prometheus, run_dir))
    known = {one.id: one.state for one in _asked(api.silences())}
    if silence_id not in known:
        fail_usage(f"there is no silence {silence_id!r}: `ops alerts silence list` shows them")
    if known[silence_id] == EXPIRED:
        progress("it was over already")
        return
    _asked(api.expire(silence_id))
    progress(f"ended {silence_id}")


def _wanted(
    alerting: Alerting, window: str | None, length: str | None, comment: str | None, match: Sequence[str]
) -> Silence:
    """Raises SilenceError."""
    now, by = datetime.now(UTC).replace(microsecond=0), f"{getpass.getuser()}@{socket.gethostname()}"
    longest = timedelta(seconds=alerting.maintenance.silence_seconds_max)
    if window is not None:
        if length or comment or match:
            raise SilenceError("a maintenance window says how long, why and what: no --for, --comment, --match")
        windows = {one.name: one for one in alerting.maintenance.windows}
        if window not in windows:
            known = ", ".join(windows) or "none"
            raise SilenceError(f"the spec has no maintenance window {window!r}; it has {known}")
        return for_window(windows[window], now, by, longest)
    if not length or not comment or not match:
        raise SilenceError("name a maintenance window, or give --for, --comment and --match")
    asked = parse_duration(length)
    if asked > longest:
        raise SilenceError(f"{length} is longer than alerting.maintenance.silence_seconds_max: {longest}")
    return for_a_while(map(parse_matcher, match), asked, now, by, comment)


def _words(wanted: Silence) -> str:
    of = " ".join(map(str, wanted.matchers))
    return f"alerts with {of} from {wanted.begin:%Y-%m-%d %H:%M} to {wanted.end:%Y-%m-%d %H:%M} UTC"


def _shown(one: Silence, silence_id: str) -> dict[str, object]:
    return {
        "id": silence_id,
        "state": one.state,
        "matchers": list(map(str, one.matchers)),
        "begin": one.begin.isoformat(),
        "end": one.end.isoformat(),
        "by": one.by,
        "comment": one.comment,
    }


def _asked(question: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(question)
    except Refused as e:
        raise CommandError(str(e), EXIT_CODES[Outcome.FAIL]) from e
    except MonitoringError as e:
        raise CommandError(str(e), EXIT_CODES[Outcome.INVALID]) from e
