"""Rollouts on stdout: one, many, their journal, and live."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console

from ops.adapters.controller_client import ControllerClient
from ops.cli.output import emit_json, emit_table, exit_with, progress
from ops.cli.rollout_access import Access, ask
from ops.cli.rollout_choosing import named_or_last
from ops.cli.rollout_json import (
    ROLLOUT_SCHEMA,
    ROLLOUTS_SCHEMA,
    look_json,
    rollout_json,
)
from ops.cli.rollout_outcome import end_verdict, standstill_verdict
from ops.cli.rollout_view import rollout_panel
from ops.cli.rollout_watch import Sight, WatchView, last_look, watch
from ops.cli.rollout_words import duration, moment, plain, state_words
from ops.rollout.record import Rollout
from ops.rollout.states import ENDED
from ops.store.rollouts import LookLine
from ops.verdict import EXIT_CODES, Outcome


def report(rollout: Rollout, json: bool) -> None:
    """What a command has made of it."""
    if json:
        emit_json(ROLLOUT_SCHEMA, {"rollout": rollout_json(rollout), "look": None})
    else:
        words = f"rollout {rollout.id} of {rollout.release.name} on {rollout.tier} is {state_words(rollout.state)}"
        print(f"{words}: {plain(rollout.reason)}")


def show(access: Access, rollout_id: str | None, tier: str, json: bool, now: float) -> None:
    """Ends the command with the verdict of a rollout that has ended."""

    async def read(client: ControllerClient) -> tuple[Rollout, LookLine | None]:
        rollout = await named_or_last(client, rollout_id, tier)
        return rollout, await last_look(client, rollout)

    rollout, look = ask(access, read)
    if json:
        emit_json(ROLLOUT_SCHEMA, {"rollout": rollout_json(rollout), "look": look_json(look) if look else None})
    else:
        Console().print(rollout_panel(rollout, look, now))
    if verdict := end_verdict(rollout):
        exit_with(verdict)


def follow(access: Access, rollout_id: str | None, tier: str, json: bool) -> NoReturn:
    """Ends the command with the verdict on which the watch stopped. With ``json`` the view goes to stderr."""

    async def run(client: ControllerClient) -> Sight:
        rollout = await named_or_last(client, rollout_id, tier)
        with WatchView(Console(stderr=json)) as view:
            return await watch(client, rollout.id, view.show)

    try:
        sight = ask(access, run)
    except KeyboardInterrupt:
        progress("the rollout goes on without this watch; see it again with 'ops canary status --watch'")
        raise
    if json:
        look = look_json(sight.look) if sight.look else None
        emit_json(ROLLOUT_SCHEMA, {"rollout": rollout_json(sight.rollout), "look": look})
    verdict = end_verdict(sight.rollout) or standstill_verdict(sight.rollout)
    if verdict is None:
        raise typer.Exit(EXIT_CODES[Outcome.INVALID])
    if sight.rollout.state not in ENDED:
        progress("it waits for somebody: 'ops canary resume', 'promote' or 'rollback'")
    exit_with(verdict)


def list_rollouts(rollouts: list[Rollout], json: bool) -> None:
    if json:
        emit_json(ROLLOUTS_SCHEMA, {"rollouts": [rollout_json(rollout) for rollout in rollouts]})
        return
    rows = [
        (
            rollout.id,
            rollout.tier,
            rollout.release.name,
            state_words(rollout.state),
            moment(rollout.created_at),
            duration(rollout.state_since - rollout.created_at) if rollout.state in ENDED else "",
            plain(rollout.created_by),
            plain(rollout.reason),
        )
        for rollout in rollouts
    ]
    emit_table("rollouts", ("id", "tier", "release", "state", "started", "took", "by", "why"), rows)
