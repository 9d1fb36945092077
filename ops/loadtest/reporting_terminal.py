"""The summary of a load run on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.loadtest.recording import Measure
from ops.loadtest.reporting_document import Document, Figures, PhaseReport, TargetJudged
from ops.loadtest.tallies import MEASURES
from ops.verdict import Outcome, graver

PLAIN_WIDTH = 120
"""Columns where no terminal says otherwise."""
COLOURS = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.INCONCLUSIVE: "yellow", Outcome.INVALID: "magenta"}
EVIDENCE_MAX = 12
"""Lines; all of it is in the page and in the JSON."""
COLUMNS = (
    "phase",
    "class",
    "requests",
    "per s",
    "failed",
    *(f"{target.value}, ms" for target in MEASURES),
    "lag, ms",
    "",
)
RIGHT = ("requests", "per s", "failed")
Cell = str | Text


def print_summary(document: Document, to: TextIO) -> None:
    console = Console(file=to, width=None if to.isatty() else PLAIN_WIDTH, highlight=False)
    outcome = document.verdict.outcome
    console.print(Text.assemble(f"{document.suite}: ", (outcome.value.upper(), f"bold {COLOURS[outcome]}")))
    for line in reasons(document, EVIDENCE_MAX):
        console.print(Text(f"  {line}"), soft_wrap=True)
    title = "p95 / its target, and errors / those allowed (a dash: p95 falls on a request that failed)"
    table = table_of(title, COLUMNS, RIGHT)
    for row in _rows(document):
        table.add_row(*row)
    console.print(table)
    failed: Counter[str] = Counter()
    for one in document.figures:
        failed.update(one.failed if _measured(document, one) else {})
    if failed:
        told = ", ".join(f"{count:,} {cause}" for cause, count in failed.most_common())
        console.print(Text(f"  failed: {told}"), soft_wrap=True)
    for found in document.found:
        label = found.outcome.value if found.promised else "found"
        words = Text.assemble("  ", (label, COLOURS[found.outcome]), f": {found.text}")
        console.print(words, soft_wrap=True)


def _measured(document: Document, figures: Figures) -> bool:
    return any(phase.name == figures.phase for phase in document.judged)


def table_of(title: str, columns: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def reasons(document: Document, lines_max: int) -> Iterator[str]:
    """Why it is what it is, if it is no pass: what has the verdict's own outcome."""
    outcome = document.verdict.outcome
    if outcome is Outcome.PASS:
        return
    judged = {one.text: one.outcome for phase in document.judged for one in phase.targets}
    judged |= {one.text: one.outcome for one in document.found}
    texts = [one.text for one in document.verdict.evidence]
    wanted = [text for text in texts if judged.get(text, outcome) is outcome]
    yield from wanted[:lines_max]
    if len(wanted) > lines_max:
        yield f"and {len(wanted) - lines_max} more, in the report"


def _rows(document: Document) -> Iterator[Sequence[Cell]]:
    """One for each class and measured phase, and one of all classes for the rate of errors."""
    for phase in document.judged:
        seen = {one.task_class: one for one in document.figures if one.phase == phase.name and one.requests}
        for task_class, figures in seen.items():
            targets = {one.target: one for one in phase.targets if one.task_class == task_class}
            times = [_time(figures, measure, targets.get(target.value)) for target, measure in MEASURES.items()]
            failed = sum(figures.failed.values())
            yield (
                phase.name, task_class, f"{figures.requests:,}", f"{figures.requests_per_second:,.1f}", f"{failed:,}",
                *times, _percentile(figures, Measure.SEND_LAG), _outcome(phase, list(targets.values())),
            )  # fmt: skip
        for one in (one for one in phase.targets if one.target == "errors"):
            errors = Text(f"{_percent(one)} / {100 * one.allowed_share:g} %")
            errors.stylize(COLOURS[one.outcome])
            row = (phase.name, "all", f"{one.requests:,}", "", f"{one.misses:,}", errors)
            yield (*row, "", "", "", _outcome(phase, [one]))


def _percent(one: TargetJudged) -> str:
    return f"{100 * one.misses / one.requests:.2f}" if one.requests else "-"


def _time(figures: Figures, measure: Measure, target: TargetJudged | None) -> Cell:
    if measure not in figures.percentiles or target is None or target.seconds is None:
        return ""
    return Text(f"{_percentile(figures, measure)} / {1000 * target.seconds:,.0f}", COLOURS[target.outcome])


def _percentile(figures: Figures, measure: Measure, percent: str = "95") -> str:
    found = figures.percentiles.get(measure)
    return "" if found is None else milliseconds(found[percent])


def _outcome(phase: PhaseReport, targets: Sequence[TargetJudged]) -> Text:
    outcome = Outcome.PASS
    for one in targets:
        outcome = one.outcome if graver(one.outcome, outcome) else outcome
    outcome = Outcome.INVALID if phase.invalid else outcome
    return Text(outcome.value if phase.counts else f"({outcome.value})", COLOURS[outcome])


def milliseconds(seconds: float | None) -> str:
    """In three digits."""
    if seconds is None:
        return "-"
    value = 1000 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
