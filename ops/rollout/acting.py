"""Makes what is recorded true: the workers hold the table in force, and the replicas run that should."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from ops.rollout.record import Rollout, TierRecord, replicas_wanted
from ops.rollout.replicas import Replicas, ReplicasError, ReplicaSpec
from ops.rollout.workers import Worker, WorkerError, WorkersSeen
from serving.contract import Refusal, Renewal, RouteState, RoutingTable, TierState

log = structlog.get_logger("controller")


async def make_true(
    tier: TierRecord,
    rollout: Rollout | None,
    replicas: Replicas,
    workers: Sequence[Worker],
    seen: WorkersSeen,
    recording: Sequence[ReplicaSpec] = (),
) -> None:
    """Idempotent; what fails is tried again at the next tick. The table first: nothing that serves is stopped."""
    if tier.table is not None:
        table = tier.table
        held = {name: state.tiers.get(tier.tier) for name, state in seen.states.items()}
        present = [worker for worker in workers if worker.name in held]
        await asyncio.gather(*(_bring_round(worker, table, held[worker.name]) for worker in present))
    try:
        await replicas.apply(tier.tier, tuple(dict.fromkeys((*replicas_wanted(tier, rollout), *recording))))
    except ReplicasError as e:
        log.warning("replicas_not_applied", tier=tier.tier, reason=str(e))


async def _bring_round(worker: Worker, table: RoutingTable, held: TierState | None) -> None:
    follows = held is not None and held.table == table
    if held is not None and not follows and held.table.epoch >= table.epoch:
        return  # only a higher epoch brings it round, and that is decided, not done here
    if held is not None and follows and held.state is not RouteState.ACTIVE:
        return
    try:
        if follows and table.lease_seconds is None:
            return
        if follows and table.lease_seconds is not None:
            ack = await worker.renew(table.tier, Renewal(table.epoch, table.lease_seconds))
            if ack.refusal is Refusal.EPOCH_UNKNOWN:
                ack = await worker.put(table)
        else:
            ack = await worker.put(table)
        if ack.refusal:
            log.warning("refused", worker=worker.name, tier=table.tier, epoch=table.epoch, refusal=ack.refusal.value)
    except WorkerError as e:
        log.warning("worker_unreachable", worker=worker.name, reason=str(e))
