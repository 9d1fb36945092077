"""``ops controller run``: the process that carries rollouts out. The one place where its parts are wired together."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ops.cli.controller_counters import Source, counter_source
from ops.cli.output import CommandError, progress
from ops.stack.options import Counters

if TYPE_CHECKING:
    from aiohttp import web

    from ops.rollout.plan import RolloutPlan
    from ops.stack.state import Secrets, StackState

app = typer.Typer(help="The process that carries rollouts out.")


@app.callback()
def _group() -> None:
    """Keeps ``run`` a verb, though it is the only one."""


@app.command()
def run(
    run_dir: Annotated[Path, typer.Option(help="The folder of the stack it belongs to.")] = Path(".stack"),
    port: Annotated[int | None, typer.Option(help="Listen here instead of at the stack's address.")] = None,
    counters: Annotated[
        Counters | None, typer.Option(help="Where the judge's counters come from; as the stack was started otherwise.")
    ] = None,
    prometheus_url: Annotated[
        str | None, typer.Option(help="A Prometheus elsewhere; the stack's own otherwise.")
    ] = None,
    prometheus_job: Annotated[str, typer.Option(help="The scrape job of the gateway's workers.")] = "gateway",
) -> None:
    """Carry rollouts out, until SIGTERM. Several may run: one leads, the others stand by."""
    import structlog

    from ops.stack.state import load_secrets, load_stack

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="at"),
            structlog.processors.JSONRenderer(),
        ]
    )
    stack = load_stack(run_dir)
    source = Source(counters or stack.counters, prometheus_url or stack.prometheus_url, prometheus_job)
    asyncio.run(_run(stack, load_secrets(run_dir), port, source))


async def _run(stack: StackState, secrets: Secrets, port: int | None, source: Source) -> None:
    import aiohttp
    from aiohttp import web

    from ops.adapters.annotations import RECEIVER, TokenError, annotations_of
    from ops.adapters.controller_api import controller_app
    from ops.adapters.gateway_admin import GatewayAdmin, WorkerAddress
    from ops.adapters.notifier import notify
    from ops.adapters.registrar import Artefacts
    from ops.adapters.spec_file import load_spec
    from ops.rollout.controlling import Controller, Surroundings
    from ops.rollout.operating import Operations
    from ops.rollout.planning import quality_plan, rollout_plan
    from ops.rollout.recording import RecordingPlan
    from ops.rollout.retaining import retain
    from ops.stack.replicas import stack_replicas
    from ops.store.database import Database

    spec = load_spec(Path(stack.spec_path))
    urls = {webhook.name: webhook.url for webhook in spec.notifications.webhooks}
    try:
        annotations = annotations_of(spec)
    except TokenError as e:
        raise CommandError(str(e)) from e
    address = urlsplit(stack.controller_url)
    listen_port = port or address.port or 0
    database_url = stack.database_url_with(secrets.database_password)
    database = Database(database_url)
    stopping = _stopping()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, counter_source(source, spec) as counters:
        artefacts = Artefacts(session, Path(stack.spec_path).parent)
        around = Surroundings(
            database=database,
            database_url=database_url,
            replicas=stack_replicas(stack, session, chance=random.SystemRandom()),
            workers=tuple(
                GatewayAdmin(session, WorkerAddress(worker.name, worker.admin_url), secrets.admin_key)
                for worker in stack.workers
            ),
            checker=artefacts,
            tiers=tuple(spec.tiers),
            webhooks=(*urls, *((RECEIVER,) if annotations else ())),
            counters=counters,
            recording={name: RecordingPlan(tier.model, quality_plan(spec)) for name, tier in spec.tiers.items()},
        )
        controller = Controller(around, f"{socket.gethostname()}:{os.getpid()}")
        known_good = partial(rollout_plan, spec, stack.environment)
        operations = Operations(controller, artefacts, partial(_plan_now, stack), known_good)
        runner = web.AppRunner(controller_app(controller, operations, secrets.admin_key), access_log=None)
        await database.open()
        await runner.setup()
        # What is here now stays: else each full collection, in the midst of a judge's look, goes through all of it.
        gc.collect()
        gc.freeze()
        try:
            await _listen(runner, address.hostname or "127.0.0.1", listen_port)
            async with asyncio.TaskGroup() as group:
                loops = (
                    controller.run(),
                    notify(controller, session, urls, annotations=annotations),
                    retain(controller, spec.retention.journal_days),
                )
                tasks = [group.create_task(loop) for loop in loops]
                await stopping.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await runner.cleanup()
            await database.close()


def _stopping() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    from aiohttp import web

    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as e:
        raise CommandError(f"the controller cannot listen on port {port}: {e.strerror}") from e
    progress(f"the controller listens on http://{host}:{port}")


def _plan_now(stack: StackState, tier: str) -> RolloutPlan:
    """From the spec as it is now: a change of the file holds for the next rollout."""
    from ops.adapters.spec_file import load_spec
    from ops.rollout.commanding import CommandRefused
    from ops.rollout.planning import rollout_plan
    from ops.spec.faults import SpecError

    try:
        return rollout_plan(load_spec(Path(stack.spec_path)), stack.environment, tier)
    except SpecError as e:
        raise CommandRefused(f"the spec has faults, so no rollout can start:\n{e}") from e
