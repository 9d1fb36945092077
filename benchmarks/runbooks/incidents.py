"""The incidents: the alerts that matter most, each with a fault that sets it off."""

from __future__ import annotations

from benchmarks.runbooks.proving import Incident
from benchmarks.runbooks.world import TIER, World
from ops.stack.programs import REPLICA_PREFIX


async def _another_release(world: World) -> None:
    """One that may be broken, and rolled back to the one before."""
    await world.release(TIER)


async def _all_fail(world: World) -> None:
    await world.faults(TIER, error_rate=1.0)


async def _well(world: World) -> None:
    await world.faults(TIER)


async def _some_fail(world: World) -> None:
    await world.faults(TIER, error_rate=0.3)


async def _slow(world: World) -> None:
    await world.faults(TIER, slowdown=50.0)


async def _crawl(world: World) -> None:
    await world.faults(TIER, slowdown=200.0)


async def _stalled(world: World) -> None:
    await world.faults(TIER, stalled=True)


async def _gateways_hang(world: World) -> None:
    for worker in world.state.workers:
        world.hang(worker.name)


async def _half_empty(world: World) -> None:
    await world.faults(TIER, empty_rate=0.5)


async def _engine_hangs(world: World) -> None:
    world.hang(f"{REPLICA_PREFIX}{(await world.serving(TIER))[0]}")


async def _controller_hangs(world: World) -> None:
    world.hang("controller")


async def _database_ends(world: World) -> None:
    await world.end("postgres")


async def _rollout(world: World) -> None:
    await world.rollout_begins(TIER)


async def _no_rollout(world: World) -> None:
    await world.rollout_ends(TIER)


ROLLBACK = "ops canary rollback"
ENGINES_ANEW = "ops stack restart --tier"
OF_TIER = {"tier": TIER}
OF_CLASS = {"tier": TIER, "task_class": "generation"}
INCIDENTS = (
    Incident(
        "TierOutage",
        "the tier's new release answers every request with an error",
        _all_fail,
        ROLLBACK,
        OF_TIER,
        prepare=_another_release,
    ),
    Incident("ServiceOutage", "all gateway workers hang", _gateways_hang, "ops stack restart --unhealthy"),
    Incident(
        "HighErrorRate",
        "the tier's new release answers three in ten requests with an error",
        _some_fail,
        ROLLBACK,
        OF_TIER,
        prepare=_another_release,
    ),
    Incident("SlowAnswers", "the engines take 50 times as long", _slow, ENGINES_ANEW, OF_CLASS, clean=_well),
    Incident("SlowFirstToken", "the engines take 200 times as long", _crawl, ENGINES_ANEW, OF_CLASS, clean=_well),
    Incident(
        "EngineQueueDeep",
        "the tier's engine ends no step any more",
        _stalled,
        "ops stack restart replica-",
        clean=_well,
    ),
    Incident("EngineDown", "the tier's engine hangs", _engine_hangs, "ops stack restart replica-"),
    Incident(
        "AnswersEmpty",
        "the tier's new release answers half of the requests with nothing",
        _half_empty,
        ROLLBACK,
        OF_CLASS,
        prepare=_another_release,
    ),
    Incident("ControllerNoLeader", "the controller hangs", _controller_hangs, "ops stack restart controller"),
    Incident("DatabaseDown", "PostgreSQL has ended", _database_ends, "ops stack restart postgres"),
    Incident("ControllerDatabaseLost", "PostgreSQL has ended", _database_ends, "ops stack restart postgres"),
    Incident(
        "RouteLeaseExpired",
        "the controller hangs while a release goes out",
        _controller_hangs,
        "ops stack restart controller",
        OF_TIER,
        prepare=_rollout,
        clean=_no_rollout,
    ),
)
