"""The incidents: the alerts that matter most, each with a fault that sets it off."""

from __future__ import annotations

from benchmarks.runbooks.proving import Incident
from benchmarks.runbooks.world import TIER, World


async def _another_release(world: World) -> None:
    """One that may be broken, and rolled back to the one before."""
    await world.release(TIER)


async def _all_fail(world: World) -> None:
    await world.faults(TIER, error_rate=1.0)


async def _well(world: World) -> None:
    await world.faults(TIER)


async def _slow(world: World) -> None:
    await world.faults(TIER, slowdown=100.0)


async def _gateways_hang(world: World) -> None:
    for worker in world.state.workers:
        world.hang(worker.name)


INCIDENTS = (
    Incident(
        "TierOutage",
        "the tier's new release answers every request with an error",
        _all_fail,
        "ops canary rollback",
        {"tier": TIER},
        prepare=_another_release,
    ),
    Incident(
        "SlowFirstToken",
        "the tier's engines take a hundred times as long",
        _slow,
        "ops stack restart --tier",
        {"tier": TIER},
        clean=_well,
    ),
    Incident(
        "ServiceOutage",
        "all gateway workers hang",
        _gateways_hang,
        "ops stack restart gateway-0",
    ),
)
