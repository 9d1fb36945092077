"""How a running stack is: each part asked, none believed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import aiohttp

from ops.adapters.supervisord import Process, State, Supervisor, SupervisorError
from ops.stack.checking import unhealthy
from ops.stack.options import Omitted
from ops.stack.programs import (
    ALERTMANAGER,
    CONTROLLER,
    POSTGRES,
    PROMETHEUS,
    REPLICA_PREFIX,
    Check,
    exporter_name,
)
from ops.stack.replicas import stack_replicas
from ops.stack.state import Secrets, StackError, StackState
from serving.contract import ADMIN_HEALTH_PATH


@dataclass(frozen=True)
class PartStatus:
    name: str
    healthy: bool
    required: bool
    """Whether the stack is unhealthy without it. An engine that is still loading is not; one given up is."""
    detail: str
    pid: int | None
    uptime_seconds: float | None
    url: str | None


@dataclass(frozen=True)
class StackStatus:
    parts: tuple[PartStatus, ...]

    @property
    def healthy(self) -> bool:
        return all(part.healthy for part in self.parts if part.required)


async def status(state: StackState, secrets: Secrets) -> StackStatus:
    """Asks every part at once. Raises StackError if the supervisor does not answer."""
    supervisor = Supervisor(state.folder)
    try:
        processes = await asyncio.to_thread(supervisor.processes)
    except SupervisorError as e:
        raise StackError(f"the stack's supervisor does not answer: {e}; end it with `ops stack down`") from e
    async with aiohttp.ClientSession() as session:
        parts = [
            _part(session, name, check, where, url, processes.get(name))
            for name, check, where, url in _expected(state, secrets, processes)
        ]
        own = await asyncio.gather(*parts)
        replicas = await _replicas(session, state, processes)
    return StackStatus((*own, *replicas))


def _expected(
    state: StackState, secrets: Secrets, processes: dict[str, Process]
) -> list[tuple[str, Check, str, str | None]]:
    """Name, check, where to ask and where people go, of each part that the stack was started with."""
    expected: list[tuple[str, Check, str, str | None]] = []
    if Omitted.GATEWAY not in state.without:
        for worker in state.workers:
            expected.append((worker.name, Check.HTTP, worker.admin_url + ADMIN_HEALTH_PATH, worker.admin_url))
    if Omitted.CONTROLLER not in state.without:
        expected.append((CONTROLLER, Check.HTTP, state.controller_url + "/health", state.controller_url))
    if state.prometheus_url is not None:
        expected.append((PROMETHEUS, Check.HTTP, state.prometheus_url + "/-/ready", state.prometheus_url))
    if state.alertmanager_url is not None:
        expected.append((ALERTMANAGER, Check.HTTP, state.alertmanager_url + "/-/ready", state.alertmanager_url))
    for job, url in state.exporter_urls.items():
        expected.append((exporter_name(job), Check.HTTP, url + "/", url))
    if state.database_url:
        url = state.database_url_with(secrets.database_password)
        expected.append((POSTGRES, Check.DATABASE, url, state.database_url))
    return expected


async def _part(
    session: aiohttp.ClientSession, name: str, check: Check, where: str, url: str | None, process: Process | None
) -> PartStatus:
    reason = await unhealthy(session, check, where)
    if process is not None and process.state not in (State.RUNNING, State.STARTING):
        reason = f"{process.state.lower()}: {process.detail}" + (f"; {reason}" if reason else "")
    return _status(name, reason, process, url, required=True)


async def _replicas(
    session: aiohttp.ClientSession, state: StackState, processes: dict[str, Process]
) -> list[PartStatus]:
    found = []
    for replica in await stack_replicas(state, session).observe_all():
        name = f"{REPLICA_PREFIX}{replica.name}"
        reason = None if replica.ready else (replica.detail or "not ready")
        if replica.exhausted:
            reason = f"given up: {reason}"
        found.append(_status(name, reason, processes.get(name), replica.url, required=replica.exhausted))
    return found


def _status(name: str, reason: str | None, process: Process | None, url: str | None, required: bool) -> PartStatus:
    runs = process is not None and process.pid > 0
    return PartStatus(
        name=name,
        healthy=reason is None,
        required=required,
        detail=reason or "healthy",
        pid=process.pid if process is not None and runs else None,
        uptime_seconds=max(0.0, time.time() - process.started_unix_seconds) if process is not None and runs else None,
        url=url,
    )
