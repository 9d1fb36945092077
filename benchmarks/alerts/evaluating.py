"""Rules evaluated by ``promtool test rules``: the real engine, on series of our making.

A test that expects nothing fails at each moment at which an alert fires, and says which: its output is the timeline.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.alerts.traffic import Series

SECONDS_MAX = 7200
"""For one call of promtool."""
NICE = 19
_TIME = re.compile(r"time: (\S+?),?$")
_DURATION = re.compile(r"(\d+)(ms|[dhms])")
_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class PromtoolError(Exception):
    """It could not read what it was given."""


@dataclass(frozen=True)
class Firing:
    """An alert that fires at a moment of the test."""

    seconds: float
    labels: Mapping[str, str]
    value: float = 1.0


def with_runs(rules: str) -> str:
    """The same rules for many services at once, which the label ``run`` tells apart: each rule that sums or matches
    keeps it."""
    changed = rules.replace("sum(max_over_time(up", "sum by () (max_over_time(up")
    changed = re.sub(r" (by|on) \(", r" \1 (run, ", changed).replace("(run, )", "(run)")
    return re.sub(r"runbook_url: .*|dashboard_url: .*", lambda found: found[0].split(":")[0] + ": none", changed)


def firings(
    folder: Path, name: str, rules: str, series: Iterable[Series], step_seconds: int, at_seconds: Sequence[float]
) -> list[Firing]:
    """Which alerts fire at which of the given moments. Raises PromtoolError."""
    expression = 'ALERTS{alertstate="firing",severity="critical"}'
    asked = [{"expr": expression, "eval_time": f"{round(second)}s"} for second in at_seconds]


    promtool = shutil.which("promtool")
    if promtool is None:
        raise PromtoolError("no promtool: make system")
    (folder / f"{name}.rules.yml").write_text(rules, encoding="utf-8")
    test = folder / f"{name}.test.yml"
    with test.open("w", encoding="utf-8") as file:
        file.write(f"rule_files: [{name}.rules.yml]\nevaluation_interval: {step_seconds}s\ntests:\n")
        file.write(f"- interval: {step_seconds}s\n  input_series:\n")
        for selector, values in series:
            file.write(f"  - series: '{selector}'\n    values: '{values}'\n")
        file.write("  promql_expr_test:\n")
        file.writelines(f"  - {yaml.safe_dump(one, default_flow_style=True, width=1000).strip()}\n" for one in asked)
    done = subprocess.run(
        ["nice", "-n", str(NICE), promtool, "test", "rules", test.name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    test.unlink()
    return list(_parsed(done.stdout + done.stderr))


def _parsed(text: str) -> Iterable[Firing]:
    if "SUCCESS" in text:
        return
    if "FAILED" not in text:
        raise PromtoolError(text[-500:])
    seconds = -1.0
    for line in text.splitlines():
        if "expr: " in line and (found := _TIME.search(line.strip())):
            seconds = sum(float(n) * _UNITS[unit] for n, unit in _DURATION.findall(found[1]))
        elif line.strip().startswith("got: "):
            yield from _samples(line.strip().removeprefix("got: "), seconds)
        elif "err:" in line or "parse" in line:
            raise PromtoolError(line)


def _samples(text: str, seconds: float) -> Iterable[Firing]:
    for labels, value in re.findall(r"\{([^}]*)\} (\S+?)(?:,|$)", text):
        yield Firing(seconds, dict(_LABEL.findall(labels)), float(value))
