"""The commands of ``ops canary`` that look back at a rollout, running or ended: replay, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.output import exit_with
from ops.cli.rollout_access import (
    DEFAULT_RUN_DIR,
    DEFAULT_TIER,
    ControllerUrl,
    Json,
    RunDir,
    Tier,
)

app = typer.Typer()

RolloutOrFile = Annotated[
    str | None,
    typer.Argument(
        metavar="[ROLLOUT|FILE]", help="Its id, or a file that 'export' wrote; by default the tier's newest rollout."
    ),
]
LastRolloutId = Annotated[
    str | None, typer.Argument(metavar="[ROLLOUT]", help="Its id; by default the tier's active one, or else its last.")
]


@app.command()
def replay(
    rollout: RolloutOrFile = None,
    tier: Tier = DEFAULT_TIER,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Take every look of a rollout again, from the samples that were kept: does the same come out?

    The stored answers are not consulted, only compared. Exit 0: every decision and figure is as recorded. 1: a look
    differs, or its samples are not those that were recorded. 4: samples are missing, or another version judged.
    """
    from ops.cli.rollout_recording import recording_of
    from ops.cli.rollout_replay import report_replay
    from ops.rollout.replaying import replay as taken_again

    recording = recording_of(rollout, tier, run_dir, controller)
    entries = [line.entry for line in recording.journal]
    verdict = taken_again(recording.rollout, recording.looks, entries)
    report_replay(recording, verdict, json)
    exit_with(verdict)


@app.command()
def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Compressed if its name ends in .gz.")
    ],
    rollout: LastRolloutId = None,
    tier: Tier = DEFAULT_TIER,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Write a rollout to a file: plan, journal, looks and samples; 'replay' and 'show' read it without a database."""
    from ops.cli.rollout_recording import export_to, recording_of

    export_to(recording_of(rollout, tier, run_dir, controller), output)
