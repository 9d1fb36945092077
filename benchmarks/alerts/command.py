"""``python -m benchmarks.alerts``: replays incidents and quiet days, prints tables, writes a JSON."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.alerts.floors import FIGURES, tried
from benchmarks.alerts.incidents import incidents, long_steps
from benchmarks.alerts.quieting import QuietTask, quiet_days
from benchmarks.alerts.replaying import CONTENDERS, SPEC_FILE, replay_all
from benchmarks.alerts.tables import missed_targets, tables
from ops.adapters.spec_file import load_spec
from ops.alerting.files import files as alert_files
from ops.dashboarding.files import files as dashboard_files

SCHEMA = "gratefulgpt.benchmark.alerts/1"
SEED = 7_000_000
"""Evaluation's first; the rules were tuned on others, from 1000."""
RATES = (1, 10, 60, 1000)
QUIET_DAYS, PEERS_QUIET_DAYS = 360, 60
RENDERINGS = 5


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alerts", description=__doc__.splitlines()[0])
    further = f"parts to run, of {','.join(PARTS)} (default these) and {','.join(FURTHER)}"
    parser.add_argument("--only", default="", help=further)
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="whose rules (default %(default)s)")
    parser.add_argument("--quiet-rates", default=",".join(map(str, RATES)), help="a minute (default %(default)s)")
    parser.add_argument("--quiet-days", type=int, help=f"(default {QUIET_DAYS}; peers' rules {PEERS_QUIET_DAYS})")
    parser.add_argument("--figures", default=",".join(FIGURES), help="of the part floors (default %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("build/benchmark-alerts.json"), help="the JSON result")
    given = parser.parse_args(arguments)
    wanted = given.only.split(",") if given.only else list(PARTS)
    result: dict[str, Any] = json.loads(given.output.read_text()) if given.only and given.output.exists() else {}
    result |= {"schema": SCHEMA, "seed": given.seed}
    for part in wanted:
        for contender in given.contenders.split(","):
            rates = tuple(int(rate) for rate in given.quiet_rates.split(","))
            figures = tuple(given.figures.split(","))
            asked = Asked(contender, given.seed, given.processes, rates, given.quiet_days, figures)
            rows = result.setdefault(part, {})[contender] = []
            for row in (PARTS | FURTHER)[part](asked):
                rows.append(row)
                given.output.parent.mkdir(parents=True, exist_ok=True)
                given.output.write_text(json.dumps(result, indent=1) + "\n")
    print(tables(result))
    missed = missed_targets(result)
    for line in missed:
        print(f"missed: {line}")
    return int(bool(missed))


@dataclass(frozen=True)
class Asked:
    contender: str
    seed: int
    processes: int
    rates: tuple[int, ...]
    days: int | None
    figures: tuple[str, ...]


def _incidents(asked: Asked) -> list[dict[str, Any]]:
    return [asdict(one) for one in replay_all(incidents(asked.seed), asked.contender, asked.processes)]


def _steps(asked: Asked) -> list[dict[str, Any]]:
    return [asdict(one) for one in replay_all(long_steps(asked.seed), asked.contender, asked.processes)]


def _quiet(asked: Asked) -> Iterator[dict[str, Any]]:
    days = asked.days or (QUIET_DAYS if asked.contender == "ours" else PEERS_QUIET_DAYS)
    tasks = [QuietTask(asked.contender, rate, days, asked.seed + rate) for rate in asked.rates]
    return map(asdict, quiet_days(tasks, asked.processes))


def _floors(asked: Asked) -> Iterator[dict[str, Any]]:
    return map(asdict, tried(asked.figures, asked.seed, asked.processes)) if asked.contender == "ours" else iter(())


def _rendering(asked: Asked) -> list[float]:
    """CPU seconds for all that follows from the spec for alerts and dashboards, the reading of it included."""
    if asked.contender != "ours":
        return []
    found = []
    for _ in range(RENDERINGS):
        begun = time.process_time()
        spec = load_spec(SPEC_FILE)
        made = {**alert_files(spec), **dashboard_files(spec)}
        assert made
        found.append(time.process_time() - begun)
    return found


PARTS: dict[str, Callable[[Asked], Iterable[Any]]] = {
    "rendering": _rendering,
    "incidents": _incidents,
    "steps": _steps,
    "quiet": _quiet,
}
FURTHER: dict[str, Callable[[Asked], Iterable[Any]]] = {"floors": _floors}
"""Not of the rules themselves but of what they could be; only where it is asked for."""
