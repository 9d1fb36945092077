"""``ops canary``: start, watch and steer a rollout.

Exit codes of a rollout that has ended, or at which a watch stops: promoted 0, rolled back or refused 1, paused without
an answer 3, paused blind or suspended by hand 4. Refused by the controller 2, no controller 4.
"""

from __future__ import annotations

import time
from typing import Annotated

import typer

from ops.cli.canary_afterwards import LastRolloutId
from ops.cli.canary_afterwards import app as afterwards
from ops.cli.canary_before import app as before
from ops.cli.output import confirm, fail_usage, progress
from ops.cli.rollout_access import (
    DEFAULT_RUN_DIR,
    DEFAULT_TIER,
    AnyTier,
    ControllerUrl,
    Json,
    Reason,
    RunDir,
    Tier,
    Yes,
    ask,
    find_controller,
)

app = typer.Typer(no_args_is_help=True)
app.add_typer(before)
app.add_typer(afterwards)

RolloutId = Annotated[str | None, typer.Argument(metavar="[ROLLOUT]", help="Its id; by default the tier's active one.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it ends or waits for somebody.")]


@app.command()
def start(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="The name of a release.")],
    tier: Annotated[str | None, typer.Option(help="The tier; by default the release's own.")] = None,
    accept_blind_spots: Annotated[
        bool, typer.Option("--accept-blind-spots", help="Even if it cannot detect what the spec demands.")
    ] = False,
    watch: Watch = False,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Let a release go out, step by step, beside the stable one.

    Its margins come from the service's own history where that asks for larger ones than the spec's. It is refused where
    the traffic is too little to detect what the spec demands ('ops canary plan' says what would do).
    """
    from ops.cli.rollout_showing import follow, report

    access = find_controller(run_dir, controller)
    rollout = ask(access, lambda client: client.start(release, tier, accept_blind_spots))
    if watch:
        follow(access, rollout.id, rollout.tier, json)
    report(rollout, json)
    progress(f"watch it with: ops canary status {rollout.id} --watch")


@app.command()
def status(
    rollout: LastRolloutId = None,
    tier: Tier = DEFAULT_TIER,
    watch: Watch = False,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Show a rollout: its step, its weights, the evidence against and for it.

    Exit 0 while it runs. Ended: promoted 0, rolled back or refused 1. A watch also stops with 3 where it is paused
    for want of evidence, with 4 where it is paused blind or suspended by hand.
    """
    from ops.cli.rollout_showing import follow, show

    access = find_controller(run_dir, controller)
    if watch:
        follow(access, rollout, tier, json)
    show(access, rollout, tier, json, time.time())


@app.command()
def promote(
    rollout: RolloutId = None,
    tier: Tier = DEFAULT_TIER,
    reason: Reason = "",
    yes: Yes = False,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Take a rollout to its end without waiting for evidence.

    Capacity comes first, and evidence of harm still rolls it back.
    """
    from ops.cli.rollout_choosing import named_or_active, promotion_words
    from ops.cli.rollout_showing import report

    access = find_controller(run_dir, controller)
    found = ask(access, lambda client: named_or_active(client, rollout, tier))
    confirm(promotion_words(found), yes)
    report(ask(access, lambda client: client.command(found.id, "promote", reason)), json)


@app.command()
def pause(
    rollout: RolloutId = None,
    tier: Tier = DEFAULT_TIER,
    reason: Reason = "",
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Hold a rollout at its step. Evidence of harm still rolls it back."""
    from ops.cli.rollout_choosing import named_or_active
    from ops.cli.rollout_showing import report

    access = find_controller(run_dir, controller)
    found = ask(access, lambda client: named_or_active(client, rollout, tier))
    report(ask(access, lambda client: client.command(found.id, "pause", reason)), json)


@app.command()
def resume(
    rollout: RolloutId = None,
    tier: Tier = DEFAULT_TIER,
    reason: Reason = "",
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Let a paused or suspended rollout go on."""
    from ops.cli.rollout_choosing import named_or_active
    from ops.cli.rollout_showing import report

    access = find_controller(run_dir, controller)
    found = ask(access, lambda client: named_or_active(client, rollout, tier))
    report(ask(access, lambda client: client.command(found.id, "resume", reason)), json)


@app.command()
def rollback(
    rollout: RolloutId = None,
    to: Annotated[str | None, typer.Option(metavar="RELEASE", help="Back to this release.")] = None,
    tier: Tier = DEFAULT_TIER,
    reason: Reason = "",
    yes: Yes = False,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Send new requests back to stable; after a promotion, to the release that was stable before.

    Running streams finish where they are.
    """
    from ops.cli.rollout_choosing import end_words, loaded_tier, return_words
    from ops.cli.rollout_showing import report

    if rollout is not None and to is not None:
        fail_usage("a rollout goes back to its stable release: give ROLLOUT or --to RELEASE, not both")
    access = find_controller(run_dir, controller)
    active = None
    if rollout is not None:
        active = ask(access, lambda client: client.rollout(rollout))
    else:
        loaded = ask(access, lambda client: loaded_tier(client, tier))
        active = loaded.active if to is None else None
    if active is not None:
        ending = active.id
        confirm(end_words(active), yes)
        report(ask(access, lambda client: client.command(ending, "rollback", reason)), json)
    else:
        confirm(return_words(loaded, to), yes)
        report(ask(access, lambda client: client.roll_back_tier(tier, to, reason)), json)


@app.command()
def history(
    tier: AnyTier = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """List rollouts, the newest first."""
    from ops.cli.rollout_showing import list_rollouts

    access = find_controller(run_dir, controller)
    list_rollouts(ask(access, lambda client: client.rollouts(tier, count)), json)
