"""All new requests to stable, told to each worker directly: no controller, no database, no lock is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp

from ops.adapters.gateway_admin import GatewayAdmin
from ops.cli.rollout_access import Gateway
from ops.cli.rollout_routes import Asked
from ops.rollout.workers import WorkerError
from serving.contract import ForceStable, RouteState

TRIES_MAX = 3
"""Of each worker; the time-out of each is the admin client's."""
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Told:
    """What came of telling one worker."""

    worker: str
    ok: bool
    words: str


async def ask_workers(gateway: Gateway) -> tuple[Asked, ...]:
    """What each worker holds, all asked at once; those that do not answer with the reason."""
    async with aiohttp.ClientSession() as session:
        admins = [GatewayAdmin(session, address, gateway.admin_key) for address in gateway.workers]
        return tuple(await asyncio.gather(*(_ask(admin) for admin in admins)))


async def _ask(admin: GatewayAdmin) -> Asked:
    try:
        return Asked(admin.name, await admin.state())
    except WorkerError as e:
        return Asked(admin.name, None, str(e))


async def tell_workers(gateway: Gateway, tier: str, force: ForceStable, known: tuple[Asked, ...]) -> tuple[Told, ...]:
    """Tells all at once. ``known`` is what ``ask_workers`` found: a worker without the tier has nothing to change."""
    without = {one.worker for one in known if one.state is not None and tier not in one.state.tiers}
    async with aiohttp.ClientSession() as session:
        admins = [GatewayAdmin(session, address, gateway.admin_key) for address in gateway.workers]
        return tuple(await asyncio.gather(*(_tell(admin, tier, force, admin.name in without) for admin in admins)))


async def _tell(admin: GatewayAdmin, tier: str, force: ForceStable, without: bool) -> Told:
    if without:
        return Told(admin.name, True, f"holds no table of {tier}")
    trouble = ""
    for attempt in range(TRIES_MAX):
        if attempt:
            await asyncio.sleep(_PAUSE_SECONDS)
        try:
            ack = await admin.force_stable(tier, force)
        except WorkerError as e:
            trouble = str(e)
            continue
        if ack.state is RouteState.FORCED_STABLE and ack.refusal is None:
            return Told(admin.name, True, f"all new requests go to stable (epoch {ack.epoch})")
        trouble = f"answered that it is {ack.state.value}" + (f" ({ack.refusal.value})" if ack.refusal else "")
    return Told(admin.name, False, trouble)
