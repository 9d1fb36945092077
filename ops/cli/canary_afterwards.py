"""The commands of ``ops canary`` that ask and look back, and change nothing: journal, judge, show, replay, export."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.moments import parse_moment
from ops.cli.output import emit_json, exit_with, fail_usage, write_result
from ops.cli.rollout_access import (
    DEFAULT_RUN_DIR,
    DEFAULT_TIER,
    ControllerUrl,
    Json,
    RunDir,
    Tier,
    ask,
    find_controller,
)

TIMEOUT_SECONDS_MAX = 7 * 86_400.0

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
def journal(
    rollout: LastRolloutId = None,
    every: Annotated[bool, typer.Option("--all", help="Of all rollouts, freezes and retention too.")] = False,
    tier: Annotated[str | None, typer.Option(help="The tier of models; with --all this tier only.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From then on: 2026-11-25T12:00Z, or 2h for so long ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Up to then.")] = None,
    json: Json = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line.")] = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """The decision log: who or what decided what, when and on which numbers. Nothing in it can be changed."""
    from ops.cli.rollout_choosing import named_or_last
    from ops.cli.rollout_journal import all_decisions, print_lines, print_object, print_table
    from ops.store.decisions import Wanted

    if every and rollout is not None:
        fail_usage("give ROLLOUT or --all, not both")
    now = time.time()
    bounds = [None if text is None else parse_moment(text, now) for text in (since, until)]
    access = find_controller(run_dir, controller)
    of = None if every else ask(access, lambda client: named_or_last(client, rollout, tier or DEFAULT_TIER)).id
    wanted = Wanted(of, tier if every else None, *bounds)
    decisions = ask(access, lambda client: all_decisions(client, wanted))
    if jsonl:
        print_lines(decisions)
    elif json:
        print_object(of, decisions)
    else:
        print_table(of, decisions)


@app.command()
def show(
    rollout: RolloutOrFile = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with the charts; it needs no network.")
    ] = None,
    tier: Tier = DEFAULT_TIER,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Tell a rollout from its start: what was decided and why, who got how many requests, when the judge was blind.

    Exit 0 whatever became of it; 'status' gives the verdict.
    """
    from ops.cli.rollout_recording import recording_of
    from ops.cli.rollout_story_view import story_json, story_page, story_text

    recording = recording_of(rollout, tier, run_dir, controller)
    if html is not None:
        write_result(story_page(recording), html)
    if json:
        emit_json(*story_json(recording))
    elif html is None:
        print(story_text(recording))


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


@app.command()
def judge(
    rollout: LastRolloutId = None,
    tier: Tier = DEFAULT_TIER,
    once: Annotated[bool, typer.Option("--once", help="One look now, whatever it says.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, max=TIMEOUT_SECONDS_MAX, help="How long to wait for an answer.")
    ] = 1800.0,
    step: Annotated[
        int | None, typer.Option(min=1, help="About this step of the plan; by default about the one that serves.")
    ] = None,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Ask the judge about the release as it serves now, and wait until it passes or fails.

    Exit 0: shown to do no harm at its step, or promoted on evidence. 1: shown to be worse, or rolled back. 3: too
    little evidence, or somebody decided instead of the judge. 4: the judge is blind, or no controller answers.
    """
    from ops.cli.rollout_judging import judge_once, judge_until, report_judgement, say_time_ran_out

    access = find_controller(run_dir, controller)
    if once:
        exit_with(report_judgement(ask(access, lambda client: judge_once(client, rollout, tier, step)), json))
    found, too_late = ask(access, lambda client: judge_until(client, rollout, tier, step, timeout))
    verdict = report_judgement(found, json)
    if too_late:
        say_time_ran_out(timeout)
    exit_with(verdict)
