"""The running stack as a scene of trials, or words that say why it is none."""

from __future__ import annotations

import os
from collections.abc import Sequence

import aiohttp

from ops.adapters.controller_client import ControllerClient, ControllerError
from ops.adapters.local_replicas import program_name
from ops.adapters.simulated_faults import FaultsError, NotSimulated
from ops.adapters.supervisord import Supervisor
from ops.loadtest.certifying.generating import SUITE, steady
from ops.loadtest.certifying.injecting import Engines, engines
from ops.loadtest.plan import Plan
from ops.loadtest.preparing import Asked, CannotRun, allow_files, prepare_by
from ops.loadtest.suites import Scale
from ops.rollout.replicas import ReplicasError
from ops.spec.loadtest import Stage, Suite
from ops.spec.model import Spec
from ops.stack.replicas import stack_replicas
from ops.stack.state import StackState, load_secrets

SCALE_PER_CORE = 0.01
"""Chosen: of the promised rate. A hundredth of it, 10 requests a second, leaves a core to the service."""
PLAN_SECONDS = 60.0


def scale_here() -> float:
    """For a machine that runs the whole stack and its load."""
    return SCALE_PER_CORE * (os.cpu_count() or 1)


async def simulated_engines(state: StackState, session: aiohttp.ClientSession) -> Engines:
    """All that the stack runs. Raises CannotRun: where there is none, or one that is not simulated, nothing is broken.
    """
    try:
        found = [one for one in await stack_replicas(state, session).observe_all() if one.ready]
        if not found:
            raise CannotRun("the stack runs no engine that answers: add a release first, `ops release add`")
        programs = [program_name(one.name) for one in found]
        return engines([one.url for one in found], programs, Supervisor(state.folder))
    except NotSimulated as e:
        words = "breaches are made of the simulated engine's faults, and are never tried on another"
        raise CannotRun(f"{e}: {words}; start the stack with --engine simulated") from e
    except (FaultsError, ReplicasError) as e:
        raise CannotRun(f"the stack's engines cannot be asked: {e}") from e


async def check_no_rollout(state: StackState) -> None:
    """Raises CannotRun while a release goes out: a breach would roll it back."""
    secrets = load_secrets(state.folder.run_dir)
    try:
        async with ControllerClient(state.controller_url, secrets.admin_key, "certify") as client:
            tiers = await client.tiers()
    except ControllerError as e:
        raise CannotRun(f"it is not known whether a release goes out: {e}") from e
    if active := [f"{name}: {one.active.release.name}" for name, one in tiers.items() if one.active]:
        raise CannotRun(f"a release goes out, and a breach would roll it back ({', '.join(active)}): wait for its end")


def mixed(spec: Spec, url: str, scale: float, seed: int) -> tuple[Plan, float]:
    """The spec's own mix of requests, and how many a second. Asks the service; blocks. Raises CannotRun."""
    stages: Sequence[Stage] = (Stage(name=SUITE, seconds=PLAN_SECONDS, percent=100),)
    suite = Suite(description="Load while alerts are put to the proof", arrivals="poisson", stages=tuple(stages))
    load = spec.load.model_copy(update={"suites": {**spec.load.suites, SUITE: suite}})
    asked = Asked(SUITE, url, scale=Scale(load=scale), seed=seed)
    plan = prepare_by(spec.model_copy(update={"load": load}), asked).plan
    rate = spec.targets.requests_per_second * scale
    allow_files(steady(plan, rate, PLAN_SECONDS).connections_max)
    return plan, rate
