"""The command ``ops``: finds the noun's module, runs it, and turns what went wrong into a line and an exit code.

A module is imported only when its noun is used, so that help is fast and no command needs another's dependencies.
Exit codes: 0 pass, 1 fail, 2 usage or configuration, 3 inconclusive, 4 invalid (a defect of this program too: an
instrument that broke has shown nothing), 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from ops.cli.output import CommandError
from ops.spec.faults import SpecError
from ops.verdict import EXIT_CODES, EXIT_USAGE, Outcome

PACKAGE = "gratefulgpt-ops"
EXIT_INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


@dataclass(frozen=True)
class Noun:
    """``module`` has ``app: typer.Typer``."""

    module: str
    help: str
    group: bool = True
    """Whether verbs follow (``ops spec check``). If not, the app's one command is the noun's (``ops doctor``)."""


NOUNS: Mapping[str, Noun] = {
    "demo": Noun("ops.cli.demo", "Promote a good release, roll a bad one back.", group=False),
    "spec": Noun("ops.cli.spec", "Check, show and compile the spec of the service."),
    "stack": Noun("ops.cli.stack", "The local stack: up, status, restart, logs, down."),
    "doctor": Noun("ops.cli.doctor", "Say what this machine lacks, and how to get it.", group=False),
    "release": Noun("ops.cli.release", "Add, list, show and verify releases."),
    "canary": Noun("ops.cli.canary", "Start, watch and steer a rollout."),
    "route": Noun("ops.cli.route", "Show where requests go; send all of them to stable at once."),
    "freeze": Noun("ops.cli.freeze", "Stop new rollouts for a while."),
    "controller": Noun("ops.cli.controller", "The process that carries rollouts out."),
    "alerts": Noun("ops.cli.alerts", "Rules, rule tests and runbooks from the spec."),
    "dashboards": Noun("ops.cli.dashboards", "What Grafana shows, from the spec."),
    "load": Noun("ops.cli.load", "Load suites, judged against the spec."),
    "probe": Noun("ops.cli.probe", "Ask the public API as a user would.", group=False),
}


def main(argv: Sequence[str] | None = None, nouns: Mapping[str, Noun] = NOUNS) -> int:
    """Runs one command, of ``sys.argv`` if none is given; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _root(arguments, nouns)(args=arguments, prog_name="ops")
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
        if code == EXIT_INTERRUPTED:
            _complain("interrupted")
        return code
    except KeyboardInterrupt:
        _complain("interrupted")
        return EXIT_INTERRUPTED
    except SpecError as e:
        print(e, file=sys.stderr)
        count = len(e.faults)
        _complain(f"the spec has {count} fault{'s' if count > 1 else ''}")
        return EXIT_USAGE
    except CommandError as e:
        _complain(str(e))
        return e.exit_code
    except Exception:  # noqa: BLE001 - the outermost edge: Python's own exit code 1 would read as a verdict
        traceback.print_exc()
        _complain("this is a defect of the program, and no verdict")
        return EXIT_CODES[Outcome.INVALID]
    return 0


def _complain(message: str) -> None:
    print(f"ops: {message}", file=sys.stderr)


def _root(arguments: Sequence[str], nouns: Mapping[str, Noun]) -> typer.Typer:
    """The root command: the noun in use with its module, every other one with its line of help only."""
    root = typer.Typer(
        help="Keeps an LLM service on vLLM honest: one spec, and everything that follows from it.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    root.callback()(_options)
    used = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, noun in nouns.items():
        if name != used:
            root.command(name, help=noun.help)(_nothing)
            continue
        app = _app(name, noun)
        if noun.group:
            root.add_typer(app, name=name, help=noun.help, no_args_is_help=True)
        else:
            root.command(name, help=noun.help)(_only_command(app, noun))
    return root


def _version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        print(f"ops {version(PACKAGE)}")
    except PackageNotFoundError:
        print("ops, not installed as a package")
    raise typer.Exit


def _options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    pass


def _nothing() -> None:
    """Stands for a noun that is not in use."""


def _app(name: str, noun: Noun) -> typer.Typer:
    try:
        app = importlib.import_module(noun.module).app
    except ModuleNotFoundError as e:
        if e.name == noun.module:
            raise CommandError(f"`ops {name}` is not part of this installation (no module {noun.module})") from e
        raise CommandError(f"`ops {name}` needs the package '{e.name}': pip install '{PACKAGE}[ops]'") from e
    if not isinstance(app, typer.Typer):
        raise TypeError(f"{noun.module}.app is no typer.Typer")
    return app


def _only_command(app: typer.Typer, noun: Noun) -> Callable[..., object]:
    commands = [command.callback for command in app.registered_commands if command.callback]
    if len(commands) != 1:
        raise TypeError(f"{noun.module}.app has {len(commands)} commands, not one")
    return commands[0]


if __name__ == "__main__":
    sys.exit(main())
