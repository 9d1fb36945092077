"""One incident from its fault to its end: the alert fires, the pager hears of it, the page's commands run as written,
its mitigation ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.runbooks.answering import unanswered
from benchmarks.runbooks.page import Page, PageStep, read_page
from benchmarks.runbooks.pager import Told
from benchmarks.runbooks.shell import CommandStuck, Ran, run, set_variables
from benchmarks.runbooks.world import POLL_SECONDS, World, WorldBroken
from ops.adapters.controller_client import ControllerError
from ops.adapters.firing_alerts import FIRING, firing
from ops.adapters.hanging import HangingError
from ops.adapters.monitoring_http import MonitoringError
from ops.adapters.simulated_faults import FaultsError
from ops.adapters.supervisord import SupervisorError

CALM_SECONDS_MAX = 180.0
FIRE_SECONDS_MAX = 180.0
PAGE_SECONDS_MAX = 180.0
"""An alert that joins a group that was told of lately waits for the group's interval: of warnings 120 s, shortened."""
RESOLVE_SECONDS_MAX = 180.0
STUCK = (
    *(CommandStuck, MonitoringError, WorldBroken, ControllerError, SupervisorError, FaultsError, HangingError),
    *(aiohttp.ClientError, TimeoutError),
)
"""What keeps one incident from going on; the others are tried all the same."""
OUTAGES = ("ServiceOutage", "TierOutage")
RESOLVED = "promtool query instant $PROMETHEUS 'ALERTS{"
"""The step that every page begins its verification with; it must answer with nothing."""


@dataclass(frozen=True)
class Incident:
    alert: str
    fault: str
    """In words."""
    inject: Callable[[World], Awaitable[None]]
    cure: str
    """A part of the mitigation's command that is to end it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """By which the alert is told from others of its name."""
    prepare: Callable[[World], Awaitable[None]] | None = None
    """What must be there before the fault."""
    clean: Callable[[World], Awaitable[None]] | None = None
    """So that the next incident begins with a stack that is well."""

    @property
    def wanted(self) -> dict[str, str]:
        return {"alertname": self.alert, **self.labels}


@dataclass
class Proof:
    incident: Incident
    fired_seconds: float | None = None
    """From the fault."""
    told_seconds: float | None = None
    """From the fault to the pager; 0 if it was told before and never that it is over; None if another alert was told
    instead."""
    told_instead: str = ""
    """The alert that keeps this one silent at the Alertmanager."""
    resolved_seconds: float | None = None
    """From the first command of the mitigation."""
    ran: list[Ran] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Why it is not proven; empty if it is."""


async def prove(world: World, incident: Incident, runbooks: Path) -> Proof:
    """Never raises for what the stack does; a proof that could not go on says so in its faults."""
    proof = Proof(incident)
    page = read_page(runbooks / f"{incident.alert}.md")
    try:
        if incident.prepare:
            await incident.prepare(world)
        await _proven(world, proof, page)
        world.let_go()
        if incident.clean:
            await incident.clean(world)
    except STUCK as e:
        proof.faults.append(f"it could not go on: {e or type(e).__name__}")
    finally:
        world.let_go()
    return proof


async def _proven(world: World, proof: Proof, page: Page) -> None:
    incident = proof.incident
    if not await _until(lambda: _calm(world, incident), CALM_SECONDS_MAX):
        proof.faults.append(f"it fired before the fault, for {CALM_SECONDS_MAX:g} s")
        return
    began = time.monotonic()
    await incident.inject(world)
    if not await _until(lambda: _fires(world, incident), FIRE_SECONDS_MAX):
        others = sorted({alert.name for alert in await firing(world.prometheus_url)})
        proof.faults.append(f"it does not fire within {FIRE_SECONDS_MAX:g} s of the fault (what fires: {others})")
        return
    proof.fired_seconds = time.monotonic() - began
    await _told(world, proof, began)
    variables = await _variables(world, proof, page)
    if variables is None:
        return
    for step in page.diagnosis:
        await _commands(world, proof, step, variables, verifies=False)
    await _mitigated(world, proof, page, variables)
    if proof.resolved_seconds is not None:
        for step in page.verification:
            await _commands(world, proof, step, variables, verifies=True)


async def _variables(world: World, proof: Proof, page: Page) -> dict[str, str] | None:
    """Of the page's box. Where the alert fires more than once it is told which is meant, as the refusal asks for."""
    ran, variables = await set_variables(page.setting, world.folder)
    if ran.code and "--label" in ran.output:
        chosen = " ".join(f"--label {key}={value}" for key, value in proof.incident.labels.items())
        ran, variables = await set_variables(page.setting.replace(page.name, f"{page.name} {chosen}"), world.folder)
    _succeeded(proof, ran)
    return None if ran.code else variables


async def _mitigated(world: World, proof: Proof, page: Page, variables: Mapping[str, str]) -> None:
    cure = proof.incident.cure
    step = next((one for one in page.mitigation if any(cure in command for command in one.commands)), None)
    if step is None:
        proof.faults.append(f"no step of the mitigation has `{cure}`")
        return
    began = time.monotonic()
    for command in step.commands:
        _succeeded(proof, await run(command, world.folder, variables))

    async def over() -> bool:
        return not await _fires(world, proof.incident)

    if not await _until(over, RESOLVE_SECONDS_MAX):
        proof.faults.append(f"it still fires {RESOLVE_SECONDS_MAX:g} s after its mitigation")
        return
    proof.resolved_seconds = time.monotonic() - began


async def _commands(
    world: World, proof: Proof, step: PageStep, variables: Mapping[str, str], *, verifies: bool
) -> None:
    for command in step.commands:
        ran = await run(command, world.folder, variables)
        proof.ran.append(ran)
        if why := fault(step, ran, variables, verifies=verifies):
            proof.faults.append(f"{why}: {command}\n{ran.output}")


def fault(step: PageStep, ran: Ran, variables: Mapping[str, str], *, verifies: bool) -> str | None:
    """Why a command that looks has not shown what its page says; None where it has."""
    if verifies and ran.command.startswith(RESOLVED):
        return f"exit {ran.code}" if ran.code else "still true" if ran.said.strip() else None
    return unanswered(step, ran, variables, verifies=verifies)


def _succeeded(proof: Proof, ran: Ran) -> None:
    proof.ran.append(ran)
    if ran.code:
        proof.faults.append(f"exit {ran.code}: {ran.command}\n{ran.output}")
    elif not ran.output.strip():
        proof.faults.append(f"it shows nothing: {ran.command}")


async def _told(world: World, proof: Proof, began: float) -> None:
    """The pager hears of it with a link to its page; or an alert that says more keeps it silent."""
    incident = proof.incident

    def told() -> Told | None:
        last = world.pager.last(incident.wanted)
        return last if last is not None and last.status == FIRING else None

    async def known() -> bool:
        proof.told_instead = await _inhibited_by(world, incident)
        return bool(proof.told_instead) or told() is not None

    if not await _until(known, PAGE_SECONDS_MAX):
        proof.faults.append(f"the pager hears nothing of it within {PAGE_SECONDS_MAX:g} s")
    elif last := told():
        proof.told_instead = ""
        proof.told_seconds = max(0.0, last.at - began)
        link = last.annotations.get("runbook_url", "")
        if not link.endswith(f"/{incident.alert}.md"):
            proof.faults.append(f"the pager is not told of its runbook, but of {link!r}")


async def _inhibited_by(world: World, incident: Incident) -> str:
    """The name of the alert that keeps it silent; empty if the Alertmanager does not have it, or nothing does."""
    async with world.session.get(f"{world.alertmanager_url}/api/v2/alerts") as response:
        alerts: list[dict[str, Any]] = await response.json()
    names = {alert["fingerprint"]: alert["labels"]["alertname"] for alert in alerts}
    mine = [alert for alert in alerts if incident.wanted.items() <= alert["labels"].items()]
    return ", ".join(sorted({names.get(one, "?") for alert in mine for one in alert["status"]["inhibitedBy"]}))


async def _calm(world: World, incident: Incident) -> bool:
    """Neither it nor an outage fires: what an earlier incident has left is over."""
    found = {alert.name for alert in await firing(world.prometheus_url)}
    return not found & {incident.alert, *OUTAGES}


async def _fires(world: World, incident: Incident) -> bool:
    found = await firing(world.prometheus_url)
    return any(incident.wanted.items() <= alert.labels.items() for alert in found)


async def _until(found: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not await found():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True
