"""One rollout as a picture for a terminal of 80 columns: where it is, what it serves, what speaks for and against it.

A pure function of the record, the last look and the time. Whatever a colour says, a word or a sign says too.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import ROUNDED
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ops.cli.rollout_evidence import evidence_table
from ops.cli.rollout_glyphs import ARM_STYLES, ASCII, UNICODE, Glyphs, weight_cells
from ops.cli.rollout_waiting import reference, step_seconds_min, waits_for
from ops.cli.rollout_words import duration, percent, plain, state_words, weights
from ops.judge.model import Decision, Look
from ops.rollout.assessing import awaits_transcript, last_findings
from ops.rollout.plan import Role
from ops.rollout.record import Rollout, Strategy
from ops.rollout.states import ENDED, State
from ops.store.rollouts import LookLine
from ops.verdict import Outcome

WIDTH_MAX = 100
"""Columns; wider lines are hard to read."""
_BAR_CELLS = 20
_REASONS_SHOWN_MAX = 3
_STATE_STYLES = {
    State.PROMOTED: "bold green",
    State.PROMOTING: "bold green",
    State.ROLLED_BACK: "bold red",
    State.ROLLING_BACK: "bold red",
    State.REFUSED: "bold red",
    State.PAUSED: "bold yellow",
    State.SUSPENDED: "bold yellow",
}


def rollout_panel(rollout: Rollout, look: LookLine | None, now: float) -> RenderableType:
    """The picture. ``look`` is the rollout's last one, ``now`` in Unix seconds."""
    return _RolloutPanel(rollout, look, now)


@dataclass(frozen=True)
class _RolloutPanel:
    rollout: Rollout
    look: LookLine | None
    now: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = ASCII if options.ascii_only else UNICODE
        yield Panel(
            Group(*_parts(self.rollout, self.look, self.now, glyphs)),
            title=Text(f"{self.rollout.id}, {self.rollout.tier}", style="bold"),
            title_align="left",
            subtitle=_subtitle(self.rollout, self.look, self.now),
            subtitle_align="right",
            width=min(options.max_width, WIDTH_MAX),
            box=ROUNDED,
        )


def _parts(rollout: Rollout, line: LookLine | None, now: float, glyphs: Glyphs) -> list[RenderableType]:
    look = line.look if line else None
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    facts.add_row("release", _release(rollout))
    facts.add_row("state", _state(rollout, now))
    if rollout.strategy is Strategy.CANARY:
        facts.add_row("steps", _steps(rollout, glyphs))
    if rollout.state not in ENDED:
        facts.add_row("weights", _weights(rollout, glyphs))
    if rollout.served_step is not None:
        facts.add_row("step", _step(rollout, look, now))
    parts: list[RenderableType] = [facts]
    if look is not None and look.events:
        asked = look.canary_assigned + look.reference_assigned
        parts += [Text(), evidence_table(look.events, glyphs, "cannot be seen" if asked else "no request yet")]
        if watched := _watched(look):
            parts.append(watched)
    parts += [Text(), _why(rollout, look, now)]
    return parts


def _subtitle(rollout: Rollout, line: LookLine | None, now: float) -> Text | None:
    if line is None:
        return None
    age = "" if rollout.state in ENDED else f", {duration(now - line.at)} ago"
    return Text(f"look {line.number}{age}", style="dim")


def _release(rollout: Rollout) -> Text:
    text = Text.assemble((rollout.release.name, "bold"))
    if rollout.strategy is Strategy.DIRECT:
        text.append(", straight to stable")
    elif rollout.baseline_release:
        text.append(f", canary beside {rollout.baseline_release.name}")
    return text


def _state(rollout: Rollout, now: float) -> Text:
    text = Text(state_words(rollout.state).upper(), style=_STATE_STYLES.get(rollout.state, "bold"))
    if rollout.state in ENDED:
        text.append(f" after {duration(rollout.state_since - rollout.created_at)}", style="not bold")
    else:
        text.append(f" for {duration(now - rollout.state_since)}", style="not bold")
    if rollout.promote_requested and rollout.state not in ENDED:
        text.append(", promotion asked for", style="not bold")
    return text


def _steps(rollout: Rollout, glyphs: Glyphs) -> Text:
    text = Text()
    for i, step in enumerate(rollout.plan.steps):
        sign, style = _step_sign(rollout, i, glyphs)
        if i:
            done = _passed(rollout, i - 1)
            text.append(f" {glyphs.done_link if done else glyphs.link} ", style="green" if done else "dim")
        text.append(f"{sign} {percent(step.weight)}", style=style)
    return text


def _step_sign(rollout: Rollout, index: int, glyphs: Glyphs) -> tuple[str, str]:
    if _passed(rollout, index):
        return glyphs.passed, "green"
    if rollout.state in (State.ROLLING_BACK, State.ROLLED_BACK, State.REFUSED):
        return (glyphs.ended, "red") if index == rollout.step else (glyphs.ahead, "dim")
    if index == rollout.served_step:
        return glyphs.serving, "bold yellow"
    if index == rollout.step and rollout.state in (State.PREPARING, State.WARMING):
        return glyphs.preparing, "bold"
    return glyphs.ahead, "dim"


def _passed(rollout: Rollout, index: int) -> bool:
    if rollout.state in (State.PROMOTING, State.PROMOTED):
        return True
    return index < (rollout.served_step if rollout.served_step is not None else rollout.step)


def _weights(rollout: Rollout, glyphs: Glyphs) -> Text:
    shares = weights(rollout)
    text = Text()
    for arm, cells in weight_cells(shares, _BAR_CELLS).items():
        text.append(glyphs.arms[arm] * cells, style=ARM_STYLES[arm])
    for arm, share in shares.items():
        text.append(f"  {glyphs.arms[arm]} {arm.value} {percent(share)}", style=ARM_STYLES[arm])
    return text


def _step(rollout: Rollout, look: Look | None, now: float) -> Text:
    pace = rollout.plan.pace
    text = Text(f"{duration(now - rollout.step_since)} at it, {duration(step_seconds_min(rollout))} at least, ")
    text.append(f"{duration(pace.step_seconds_max)} at most")
    if look is not None:
        against = reference(rollout)
        text.append(f"\nrequests: canary {look.canary_assigned:,}")
        text.append(f", {against.value} {look.reference_assigned:,}" if against else ", compared with nobody")
    return text


def _watched(look: Look) -> Text | None:
    """Events that decide nothing, where there are any."""
    found = [
        f"{event.event.value.replace('_', ' ')} {event.canary} of {event.total}"
        for event in look.events
        if event.role is Role.WATCHED and event.total
    ]
    return Text(f"watched only: {', '.join(found)}", style="dim") if found else None


def _why(rollout: Rollout, look: Look | None, now: float) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    if rollout.blind_since is not None and rollout.state not in ENDED and look is not None:
        limit = f"after {duration(rollout.plan.blind_seconds_max)}: {rollout.plan.blind_then.value}"
        table.add_row("BLIND", Text(f"for {duration(now - rollout.blind_since)} ({limit})", style="bold yellow"))
        if look.decision is Decision.BLIND:
            for item in look.verdict.evidence[:_REASONS_SHOWN_MAX]:
                table.add_row("", Text(plain(item.text)))
    if awaits_transcript(rollout):
        table.add_row("waits for", Text("its reference transcript ('ops release show' says how far it is)"))
    for judgement, role, replica, verdict in last_findings(rollout):
        if verdict.outcome is Outcome.PASS:
            table.add_row(judgement, Text("pass", style="green"))
        else:
            words = "; ".join(item.text for item in verdict.evidence)
            decides = "" if role is Role.CRITICAL else ", watched only"
            table.add_row(judgement, Text(plain(f"{verdict.outcome.value} on {replica}{decides}: {words}")))
    if waiting := waits_for(rollout, look, now):
        table.add_row("waits for", Text("; ".join(waiting)))
    if rollout.needs_resume:
        table.add_row("mend", Text("it waits for 'ops canary resume'"))
    table.add_row("why", Text(plain(rollout.reason)))
    return table
