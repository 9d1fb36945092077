"""``ops alerts env``: the variables of a runbook's commands, from the alert that fires and the stack that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ops.cli.alerts_where import prometheus_of
from ops.cli.output import CommandError, fail_usage, progress
from ops.verdict import EXIT_CODES, Outcome

if TYPE_CHECKING:
    from ops.adapters.firing_alerts import FiringAlert

_FAILED = EXIT_CODES[Outcome.FAIL]
_UNKNOWN = EXIT_CODES[Outcome.INVALID]


def env(
    name: Annotated[str, typer.Argument(metavar="ALERTNAME", help="An alert that fires.")],
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Which one, where several fire; repeat it.")
    ] = None,
    prometheus: Annotated[str | None, typer.Option(metavar="URL", help="A Prometheus elsewhere.")] = None,
    run_dir: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder of the stack.")] = Path(".stack"),
) -> None:
    """Print `export` lines for the commands of an alert's runbook: eval "$(ops alerts env TierOutage)".

    Exit 1 if the alert does not fire, 2 if it fires more than once and --label does not say which, 4 if Prometheus
    cannot be asked. Then `eval` fails too, and leaves no variable of an earlier alert behind.
    """
    from ops.alerting.commands import REFUSAL, exports

    try:
        values = _values(name, label or (), prometheus, run_dir)
    except CommandError:
        print(REFUSAL, end="")
        raise
    print(exports(values), end="")


def _values(name: str, label: Sequence[str], prometheus: str | None, run_dir: Path) -> dict[str, str]:
    from ops.alerting.commands import label_values

    wanted = _wanted(label)
    url = prometheus_of(prometheus, run_dir)
    labels, alertmanager = asyncio.run(_asked(url, name, wanted))
    values = {"PROMETHEUS": url.rstrip("/"), "RUN_DIR": str(run_dir.absolute())}
    if alertmanager is not None:
        values["ALERTMANAGER"] = alertmanager
    else:
        progress("$ALERTMANAGER is not set: Prometheus tells no Alertmanager")
    return {**values, **label_values(labels)}


async def _asked(url: str, name: str, wanted: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
    """The labels of the alert that is meant, with what follows from them, and the Alertmanager's URL."""
    from ops.adapters.firing_alerts import alertmanager_url, firing, followed
    from ops.adapters.monitoring_http import MonitoringError

    try:
        alert = _chosen(name, await firing(url), wanted)
        return await followed(url, alert.labels), await alertmanager_url(url)
    except MonitoringError as e:
        raise CommandError(f"{e}; name one with --prometheus URL", _UNKNOWN) from e


def _chosen(name: str, found: Sequence[FiringAlert], wanted: Mapping[str, str]) -> FiringAlert:
    named = [alert for alert in found if alert.name == name]
    if not named:
        others = ", ".join(dict.fromkeys(alert.name for alert in found)) or "nothing"
        raise CommandError(f"{name} does not fire; what fires is {others}", _FAILED)
    matching = [alert for alert in named if wanted.items() <= alert.labels.items()]
    if len(matching) != 1:
        _refuse(name, named, len(matching))
    return matching[0]


def _refuse(name: str, named: Sequence[FiringAlert], matching: int) -> NoReturn:
    """With the labels that tell them apart."""
    differing = {key for alert in named for key, value in alert.labels.items() if value != named[0].labels.get(key)}
    lines = [
        "  " + " ".join(f"--label {key}={alert.labels[key]}" for key in sorted(differing) if key in alert.labels)
        for alert in named
    ]
    fires = f"{name} fires {len(named)} time{'s' if len(named) > 1 else ''}"
    fail_usage(f"{fires}, {matching} of them as wanted; say which:\n" + "\n".join(lines))


def _wanted(labels: Sequence[str]) -> dict[str, str]:
    pairs = [label.partition("=") for label in labels]
    for key, separator, _ in pairs:
        if not separator or not key:
            fail_usage(f"--label {key} is no NAME=VALUE")
    return {key: value for key, _, value in pairs}

