"""The commands of ``ops canary`` that look ahead: plan, calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.output import exit_with, fail_usage
from ops.cli.rollout_access import DEFAULT_RUN_DIR, DEFAULT_TIER, ControllerUrl, Json, RunDir, Tier

app = typer.Typer()


@app.command()
def plan(
    tier: Tier = DEFAULT_TIER,
    rps: Annotated[float | None, typer.Option(min=0.001, max=1e6, help="Requests a second of the tier.")] = None,
    mix: Annotated[
        str | None,
        typer.Option(metavar="CELL=SHARE,...", help="As in query/p0o0=0.7,completion/p1o1=0.3; needs --rps."),
    ] = None,
    environment: Annotated[str | None, typer.Option(help="Whose pace; by default the stack's, or production.")] = None,
    spec: Annotated[
        Path | None, typer.Option(metavar="FILE", help="By default the stack's, or gratefulgpt.yaml.")
    ] = None,
    rollouts: Annotated[
        int, typer.Option(min=0, max=200, help="Ask the real judge about so many rollouts of each kind, too.")
    ] = 0,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Foretell how soon bad releases are caught and good ones promoted, at this traffic.

    Without --rps the traffic is measured by the running stack. Exit 0: all that the spec demands to be detected is.
    1: it is not; what would mend that is said. 3: too little traffic was seen to say.
    """
    from ops.cli.rollout_foreseeing import given_traffic, measured_traffic, plan_for, report_plan

    if mix is not None and rps is None:
        fail_usage("--mix without --rps: say how many requests a second")
    told = plan_for(spec, environment, tier, run_dir)
    traffic = given_traffic(told, rps, mix) if rps is not None else measured_traffic(told, run_dir, controller)
    exit_with(report_plan(told, traffic, rollouts, json))


@app.command()
def calibrate(
    tier: Tier = DEFAULT_TIER,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Show how much replicas of one release differ beyond chance, and the margins that follow.

    From past rollouts whose arms ran alike. Exit 0: they are known. 3: too little history, the spec's margins hold.
    1: the noise asks for a margin beyond harm, so good releases will be rolled back more often than promised.
    """
    from ops.cli.rollout_access import ask, find_controller
    from ops.cli.rollout_calibration import report_calibration

    access = find_controller(run_dir, controller)
    exit_with(report_calibration(tier, ask(access, lambda client: client.calibration(tier)), json))
