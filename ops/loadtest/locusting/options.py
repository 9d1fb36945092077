"""What Locust's command line and its UI take beside Locust's own options."""

from __future__ import annotations

import math
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from ops.loadtest.preparing import ARRIVALS, Asked, CannotRun
from ops.loadtest.suites import Scale

SCALE_MAX = 1000.0


@dataclass(frozen=True)
class Fixed:
    """What the command line alone says: it names files and a program, which nobody may choose over the web."""

    spec: Path
    trace: Path | None
    metrics_urls: tuple[str, ...]
    replicas_command: str
    folder: Path | None
    prometheus: str
    headless: bool


def add_options(parser: LocustArgumentParser) -> None:
    """Listener of Locust's ``init_command_line_parser``."""
    parser.add_argument("--scale", type=float, default=1.0, help="Part of the suite's rate and users.")
    parser.add_argument("--time-scale", type=float, default=1.0, help="Part of the suite's times.")
    parser.add_argument("--seed", type=int, default=1, help="Of arrivals and requests.")
    parser.add_argument("--arrivals", choices=("", *ARRIVALS), default="", help="Instead of the suite's.")
    parser.add_argument("--skip-broken", action="store_true", help="Leave broken lines of the trace out.")
    files = parser.add_argument_group("Load of the spec", "Suites come from gratefulgpt.yaml, section load.")
    files.add_argument("--spec", default="gratefulgpt.yaml", help="The spec of the service.")
    files.add_argument("--trace", default="", help="A recorded traffic: JSON lines or CSV, see docs/load.md.")
    files.add_argument(
        "--metrics-url", action="append", default=[], help="Metrics of a gateway worker, or a Prometheus's /federate."
    )
    files.add_argument("--replicas-command", default="", help="Run at each stage that wants N replicas: COMMAND N.")
    files.add_argument("--prometheus", default="", help="PORT or HOST:PORT of the run's own metrics, for a Prometheus.")
    files.add_argument("--folder", default="", help="For reports; by default build/load/SUITE-TIME.")


def fixed(environment: Environment) -> Fixed:
    options = _options(environment)
    return Fixed(
        spec=Path(options.spec),
        trace=Path(options.trace) if options.trace else None,
        metrics_urls=tuple(options.metrics_url),
        replicas_command=options.replicas_command,
        folder=Path(options.folder) if options.folder else None,
        prometheus=options.prometheus,
        headless=bool(options.headless),
    )


def asked(suite: str, environment: Environment, of: Fixed) -> Asked:
    """What is asked for now, in the UI too. Raises CannotRun."""
    options = _options(environment)
    for name in ("scale", "time_scale"):
        value = getattr(options, name)
        if not math.isfinite(value) or not 0 < value <= SCALE_MAX:
            raise CannotRun(f"--{name.replace('_', '-')} must be more than 0 and at most {SCALE_MAX:g}")
    if not environment.host:
        raise CannotRun("which service? --host http://HOST:PORT")
    return Asked(
        suite=suite,
        url=environment.host.rstrip("/"),
        spec=of.spec,
        scale=Scale(float(options.scale), float(options.time_scale)),
        seed=int(options.seed),
        arrivals=options.arrivals or None,
        trace=of.trace,
        skip_broken=bool(options.skip_broken),
    )


def _options(environment: Environment) -> Namespace:
    options = environment.parsed_options
    if not isinstance(options, Namespace):
        raise TypeError("Locust has parsed no options")
    return options
