"""``ops freeze``: nothing starts or advances while it is on; rolling back stays possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.output import emit_json, emit_table, fail_usage
from ops.cli.rollout_access import DEFAULT_RUN_DIR, ControllerUrl, Json, Reason, RunDir, ask, find_controller

if TYPE_CHECKING:
    from ops.adapters.controller_client import ControllerClient

app = typer.Typer(no_args_is_help=True)

SCHEMA = "gratefulgpt.freezes/1"

OneTier = Annotated[str | None, typer.Option("--tier", help="This tier only; by default all.")]


@app.command()
def on(
    reason: Reason,
    tier: OneTier = None,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Freeze releases: what runs is held at its step, and can still be rolled back."""
    if not reason.strip():
        fail_usage("say why with --reason: whoever meets the freeze will be told")

    async def freeze(client: ControllerClient) -> list[dict[str, Any]]:
        for name in await _tiers(client, tier):
            await client.freeze(name, reason)
        return await client.freezes()

    _show(ask(find_controller(run_dir, controller), freeze), json)


@app.command()
def off(
    tier: OneTier = None,
    reason: Reason = "",
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Lift the freeze."""

    async def lift(client: ControllerClient) -> list[dict[str, Any]]:
        for name in await _tiers(client, tier):
            await client.lift_freeze(name, reason)
        return await client.freezes()

    _show(ask(find_controller(run_dir, controller), lift), json)


@app.command()
def status(json: Json = False, run_dir: RunDir = DEFAULT_RUN_DIR, controller: ControllerUrl = None) -> None:
    """Show what is frozen, since when, by whom and why."""
    _show(ask(find_controller(run_dir, controller), lambda client: client.freezes()), json)


async def _tiers(client: ControllerClient, tier: str | None) -> list[str]:
    return [tier] if tier is not None else list(await client.tiers())


def _show(freezes: list[dict[str, Any]], json: bool) -> None:
    from ops.cli.rollout_words import moment, plain

    if json:
        rows = [
            {"tier": f["tier"], "reason": f["reason"], "actor": f["actor"], "since_unix_seconds": f["at"]}
            for f in freezes
        ]
        emit_json(SCHEMA, {"freezes": rows})
    elif freezes:
        rows_shown = [(f["tier"], moment(f["at"]), plain(f["actor"]), plain(f["reason"])) for f in freezes]
        emit_table("frozen", ("tier", "since", "by", "why"), rows_shown)
    else:
        print("nothing is frozen")
