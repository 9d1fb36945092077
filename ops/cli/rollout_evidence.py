"""The evidence on each critical event as a table: counts, rates, and bars that fill as the evidence grows."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ops.cli.rollout_glyphs import Glyphs, evidence_cells
from ops.cli.rollout_words import e_words, rate
from ops.judge.model import EventEvidence
from ops.rollout.plan import Role

_BAR_CELLS = 7


def evidence_table(events: Sequence[EventEvidence], glyphs: Glyphs, unseen: str = "cannot be seen") -> Table:
    """Of critical events. Counts and ``against`` are of the whole rollout, rate and ``for`` of its step.

    ``expect`` is how many of all would fall on the canary if it were no worse; ``unseen`` stands where no request of
    the step could show the event.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim", expand=False)
    table.add_column("event", no_wrap=True)
    table.add_column("canary/all", justify="right", no_wrap=True)
    table.add_column("expect", justify="right", no_wrap=True)
    table.add_column("rate", justify="right", no_wrap=True)
    critical = [event for event in events if event.role is Role.CRITICAL]
    against = critical[0].e_worse_needed if critical else 0
    favour = critical[0].e_harmless_needed if critical else 0
    table.add_column(f"against, of {against:,.0f}", no_wrap=True)
    table.add_column(f"for, of {favour:,.0f}", no_wrap=True)
    for event in critical:
        if not event.observable:
            table.add_row(_name(event), "-", "-", "-", Text(unseen, style="dim"))
            continue
        table.add_row(
            _name(event),
            f"{event.canary}/{event.total}",
            f"{event.expected:.0f}",
            rate(event.canary_rate),
            _bar(event.e_worse, event.e_worse_needed, "!", "red", glyphs),
            _bar(event.e_harmless, event.e_harmless_needed, glyphs.reached, "green", glyphs),
        )
    return table


def _name(event: EventEvidence) -> Text:
    return Text(event.event.value.replace("_", " "))


def _bar(e_value: float, needed: float, reached: str, style: str, glyphs: Glyphs) -> Text:
    cells = evidence_cells(e_value, needed, _BAR_CELLS)
    text = Text(glyphs.full * cells, style=style)
    text.append(glyphs.empty * (_BAR_CELLS - cells), style="dim")
    full = e_value >= needed
    text.append(f" {e_words(e_value)}{' ' + reached if full else ''}", style=f"bold {style}" if full else "")
    return text
