"""``ops route``: where requests go, asked of the gateway's workers themselves, and the way to stable by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.output import CommandError, confirm, emit_json, emit_table, fail_usage, progress
from ops.cli.rollout_access import (
    DEFAULT_RUN_DIR,
    DEFAULT_TIER,
    AnyTier,
    Json,
    Reason,
    RunDir,
    Tier,
    Yes,
    actor,
    find_gateway,
)
from ops.verdict import EXIT_CODES, Outcome

if TYPE_CHECKING:
    from ops.cli.rollout_routes import Asked
    from serving.contract import TierState

app = typer.Typer(no_args_is_help=True)

SHOW_SCHEMA = "gratefulgpt.routes/1"
STABLE_SCHEMA = "gratefulgpt.route-stable/1"
_FAILED = EXIT_CODES[Outcome.FAIL]

WorkerUrls = Annotated[
    list[str] | None,
    typer.Option("--worker", metavar="URL", help="A worker's admin port elsewhere, instead of the stack's; repeat it."),
]


@app.command()
def show(
    tier: AnyTier = None, json: Json = False, run_dir: RunDir = DEFAULT_RUN_DIR, worker: WorkerUrls = None
) -> None:
    """Show what each gateway worker does with new requests.

    Asks the workers, not the controller. Exit 1 if one cannot be reached or they disagree.
    """
    from ops.cli.rollout_break_glass import ask_workers
    from ops.cli.rollout_routes import disagreements, held_by_tier

    asked = asyncio.run(ask_workers(find_gateway(run_dir, worker or [])))
    held = held_by_tier(asked, tier)
    answering = tuple(one.worker for one in asked if one.state is not None)
    differ = {name: lines for name, states in held.items() if (lines := disagreements(states, answering))}
    if json:
        _emit_routes(asked, held, differ)
    elif not answering:
        print("no worker tells where requests go")
    else:
        _print_routes(held)
        for name, lines in differ.items():
            print(f"the workers disagree on {name}: {'; '.join(lines)}")
    for one in asked:
        if one.state is None:
            progress(f"ops: {one.trouble}")
    if differ or len(answering) < len(asked):
        raise typer.Exit(_FAILED)


@app.command()
def stable(
    reason: Reason,
    now: Annotated[bool, typer.Option("--now", help="Yes, now: this goes past controller and judge.")] = False,
    tier: Tier = DEFAULT_TIER,
    yes: Yes = False,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    worker: WorkerUrls = None,
) -> None:
    """Break glass: send all new requests of a tier to stable at once.

    Tells each gateway worker directly; needs neither controller nor database. A rollout that runs is suspended until
    somebody resumes it. Exit 1 if a worker could not be told.
    """
    from ops.cli.rollout_break_glass import ask_workers, tell_workers
    from ops.cli.rollout_routes import held_by_tier
    from serving.contract import ForceStable

    if not now:
        fail_usage("'ops route stable' acts at once: say --now. 'ops canary rollback' is the ordinary way back")
    if not reason.strip():
        fail_usage("say why with --reason: it is what the next one on call will read")
    gateway = find_gateway(run_dir, worker or [])
    known = asyncio.run(ask_workers(gateway))
    held = held_by_tier(known, tier).get(tier, {})
    if not held and all(one.state is not None for one in known):
        tiers = ", ".join(held_by_tier(known, None)) or "none"
        fail_usage(f"no worker holds a table of {tier}; they have {tiers}")
    confirm(f"This sends all new requests of {tier} to stable on {len(gateway.workers)} gateway workers", yes)
    told = asyncio.run(tell_workers(gateway, tier, ForceStable(actor(), reason), known))
    failed = [one for one in told if not one.ok]
    if json:
        rows = [{"worker": one.worker, "ok": one.ok, "words": one.words} for one in told]
        emit_json(STABLE_SCHEMA, {"tier": tier, "reason": reason, "workers": rows})
    else:
        for one in told:
            print(f"{one.worker}: {'' if one.ok else 'NOT TOLD: '}{one.words}")
    if failed:
        names = ", ".join(one.worker for one in failed)
        raise CommandError(f"{names} could not be told; {_lease_words(held, gateway.spec_path)}", _FAILED)


def _lease_words(held: dict[str, TierState], spec_path: Path | None) -> str:
    """When such a worker goes back by itself."""
    leases = [state.table.lease_seconds for state in held.values() if state.table.lease_seconds is not None]
    seconds = max(leases) if leases else _lease_of_spec(spec_path)
    within = f"within {seconds:g} s" if seconds is not None else "when its lease ends (rollout.lease_seconds)"
    return f"unless a controller renews its lease, it returns to stable by itself {within}; try again"


def _lease_of_spec(spec_path: Path | None) -> float | None:
    from ops.adapters.spec_file import load_spec
    from ops.spec.faults import SpecError

    if spec_path is None:
        return None
    try:
        return load_spec(spec_path).rollout.lease_seconds
    except SpecError:
        return None  # this command must work beside a broken spec


def _emit_routes(
    asked: tuple[Asked, ...], held: dict[str, dict[str, TierState]], differ: dict[str, tuple[str, ...]]
) -> None:
    from ops.cli.rollout_routes import in_force

    tiers = {
        name: {
            worker: {
                "epoch": state.table.epoch,
                "state": state.state,
                "lease_left_seconds": state.lease_left_seconds,
                "forced_by": state.forced_by,
                "routes": [
                    {
                        "arm": route.arm,
                        "release": route.release,
                        "weight": route.weight,
                        "weight_in_force": in_force(state)[route.arm.value],
                        "endpoints": route.endpoints,
                    }
                    for route in state.table.routes
                ],
            }
            for worker, state in states.items()
        }
        for name, states in held.items()
    }
    unreachable = {one.worker: one.trouble for one in asked if one.state is None}
    emit_json(SHOW_SCHEMA, {"tiers": tiers, "disagreements": differ, "unreachable": unreachable})


def _print_routes(held: dict[str, dict[str, TierState]]) -> None:
    from ops.cli.rollout_routes import in_force, lease_words
    from ops.cli.rollout_words import percent, plain

    if not held:
        print("no worker holds a table: nothing has been released yet")
    for name, states in held.items():
        rows = [
            (
                worker,
                route.arm.value,
                route.release,
                percent(in_force(state)[route.arm.value]),
                len(route.endpoints),
                state.table.epoch,
                state.state.value.replace("_", " "),
                lease_words(state),
            )
            for worker, state in states.items()
            for route in state.table.routes
        ]
        emit_table(name, ("worker", "arm", "release", "weight", "replicas", "epoch", "state", "lease left"), rows)
        for worker, state in states.items():
            if state.forced_by:
                print(f"{worker} was sent to stable by {plain(state.forced_by.actor)}: {plain(state.forced_by.reason)}")
