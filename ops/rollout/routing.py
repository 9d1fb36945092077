"""The routing table that follows from the records, and when it needs a new epoch."""

from __future__ import annotations

from dataclasses import replace

from msgspec.structs import replace as with_fields

from ops.rollout.observing import Observation
from ops.rollout.record import Fleet, Rollout, TierRecord
from ops.rollout.sharing import stable_table, step_table
from serving.contract import Arm, RouteState, RoutingTable


def table_in_force(tier: TierRecord, rollout: Rollout | None, seen: Observation) -> tuple[TierRecord, str]:
    """The tier with the table that every worker should hold, and why it changed (empty if it did not).

    A new epoch is issued whenever the table's content changes, and whenever a worker holds a higher one, another
    table under the same one, or went back to stable by itself: only a higher epoch brings it round.
    """
    held = [state for state in seen.workers.values() if state]
    highest = max([tier.epoch, *(state.table.epoch for state in held)])
    wanted = _wanted(tier, rollout, _addresses(tier.table) | seen.urls, highest)
    if wanted is None:
        return replace(tier, epoch=highest), ""
    if tier.table is None or with_fields(tier.table, epoch=highest) != wanted:
        reason = _why(tier.table, wanted, rollout)
    elif highest > tier.epoch:
        reason = f"a worker held epoch {highest}, above this controller's {tier.epoch}"
    elif any(state.table.epoch == highest and state.table != tier.table for state in held):
        reason = f"a worker held another table under epoch {highest}"
    elif any(state.table.epoch == highest and state.state is not RouteState.ACTIVE for state in held):
        reason = "a worker had gone back to stable by itself or by hand"
    else:
        return tier, ""
    return replace(tier, epoch=highest + 1, table=with_fields(wanted, epoch=highest + 1)), reason


def _why(held: RoutingTable | None, wanted: RoutingTable, rollout: Rollout | None) -> str:
    def weights(table: RoutingTable) -> list[tuple[str, str, int]]:
        return [(route.arm, route.release, route.weight) for route in table.routes]

    if rollout and (held is None or weights(held) != weights(wanted)):
        return rollout.reason
    if held and held.routes == wanted.routes:
        return "the levels were cut anew from what the reference showed"
    return "the replicas' addresses changed"


def serves_alone(table: RoutingTable | None, fleet: Fleet) -> bool:
    """Whether ``table`` sends everything to ``fleet``, without a lease."""
    if table is None or table.lease_seconds is not None:
        return False
    route = table.route(Arm.STABLE)
    replicas = {endpoint.replica for endpoint in route.endpoints}
    return route.release == fleet.release.name and replicas == {replica.name for replica in fleet.replicas}


def _addresses(table: RoutingTable | None) -> dict[str, str]:
    """Those in force: the way back to stable must not wait for whatever runs the replicas to answer."""
    if table is None:
        return {}
    return {endpoint.replica: endpoint.url for route in table.routes for endpoint in route.endpoints}


def _wanted(tier: TierRecord, rollout: Rollout | None, urls: dict[str, str], epoch: int) -> RoutingTable | None:
    """None if there is no stable yet, or a replica whose address is not known yet."""
    if tier.stable is None:
        return None
    try:
        if rollout is None or rollout.served_step is None:
            return stable_table(tier.tier, tier.stable, urls, epoch)
        return step_table(rollout, tier.stable, urls, epoch, rollout.levels)
    except KeyError:
        return None
