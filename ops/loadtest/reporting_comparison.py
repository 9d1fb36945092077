"""Two runs compared, on a terminal and as JSON. ``gratefulgpt.load-comparison/1``."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TextIO

from rich.console import Console
from rich.text import Text

from ops.loadtest.comparing import Compared, Comparison
from ops.loadtest.reporting_document import Document
from ops.loadtest.reporting_terminal import COLOURS, PLAIN_WIDTH, table_of
from ops.verdict import Outcome

SCHEMA = "gratefulgpt.load-comparison/1"
COLUMNS = ("class", "figure", "before", "after", "change", "between", "allowed", "")
RIGHT = ("before", "after", "change", "between", "allowed")
WORDS = {
    Outcome.PASS: "no worse",
    Outcome.FAIL: "worse",
    Outcome.INCONCLUSIVE: "inconclusive: too few requests to tell",
    Outcome.INVALID: "invalid: they cannot be compared",
}


def comparison_json(before: Document, after: Document, comparison: Comparison) -> Mapping[str, object]:
    """Without its schema. A figure that is not finite (a percentile beyond every answer) is null."""
    return {
        "verdict": comparison.verdict.to_json(),
        "suite": after.suite,
        "before": {"started_unix_seconds": before.started_unix_seconds, "outcome": before.verdict.outcome},
        "after": {"started_unix_seconds": after.started_unix_seconds, "outcome": after.verdict.outcome},
        "figures": [
            {
                "task_class": one.task_class,
                "figure": one.figure,
                "unit": one.unit,
                "before": one.before,
                "after": one.after,
                "change": one.worse.value,
                "change_low": one.worse.low,
                "change_high": one.worse.high,
                "margin": one.margin,
                "outcome": one.verdict.outcome,
            }
            for one in comparison.figures
        ],
    }


def print_comparison(after: Document, comparison: Comparison, to: TextIO) -> None:
    console = Console(file=to, width=None if to.isatty() else PLAIN_WIDTH, highlight=False)
    outcome = comparison.verdict.outcome
    console.print(Text.assemble(f"{after.suite}: ", (WORDS[outcome], f"bold {COLOURS[outcome]}")))
    if not comparison.figures:
        for item in comparison.verdict.evidence:
            console.print(Text(f"  {item.text.removeprefix('invalid: ')}"), soft_wrap=True)
        return
    table = table_of(
        "Change with 95 % confidence; times in ms and their change in percent, shares in percent", COLUMNS, RIGHT
    )
    for one in comparison.figures:
        table.add_row(*_row(one))
    console.print(table)


def _row(one: Compared) -> tuple[str | Text, ...]:
    worse = one.worse
    return (
        one.task_class, one.figure, _figure(one.before), _figure(one.after), _change(worse.value),
        f"{_change(worse.low)} to {_change(worse.high)}", f"{one.margin:+g}",
        Text(one.verdict.outcome.value, COLOURS[one.verdict.outcome]),
    )  # fmt: skip


def _figure(value: float) -> str:
    if not isfinite(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _change(value: float) -> str:
    return f"{value:+.1f}" if isfinite(value) else ("+" if value > 0 else "-") + "∞"
