"""Epochs, leases and the break glass: the table of decisions, with a clock that stands still until it is moved."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from serving.contract import Arm, Endpoint, ForceStable, Refusal, Renewal, Route, RouteState, RoutingTable
from serving.gateway.routing import UNJUDGED_EPOCH, TierRoute, forced, pushed, recovered, renewed, settled

FORCE = ForceStable("someone", "it burns")


def table(epoch: int, weight: int = 500, lease_seconds: float | None = 10.0, release: str = "r2") -> RoutingTable:
    routes = (
        Route(Arm.STABLE, "r1", 10_000 - weight, (Endpoint("s", "http://127.0.0.1:1"),), "v1"),
        Route(Arm.CANARY, release, weight, (Endpoint("c", "http://127.0.0.1:2"),), "v1"),
    )
    return RoutingTable(tier="production", epoch=epoch, routes=routes, lease_seconds=lease_seconds)


def held(epoch: int = 5, now: float = 100.0, **more: Any) -> TierRoute:
    route, refusal = pushed(None, table(epoch, **more), now)
    assert refusal is None
    return route


def arms(route: TierRoute) -> dict[Arm, int]:
    return {entry.arm: weight for entry, weight in route.in_force}


def test_a_table_is_followed_until_its_lease_ends() -> None:
    route = held(now=100.0)
    assert settled(route, 109.999) is route
    ended = settled(route, 110.0)
    assert ended.state is RouteState.LEASE_EXPIRED
    assert arms(route) == {Arm.STABLE: 9_500, Arm.CANARY: 500}
    assert arms(ended) == {Arm.STABLE: 10_000}
    assert (route.counted_epoch, ended.counted_epoch) == (5, UNJUDGED_EPOCH)


def test_a_table_without_a_lease_has_no_end() -> None:
    route = held(weight=0, lease_seconds=None)
    assert settled(route, 1e12) is route


def test_a_lower_epoch_is_refused_and_changes_nothing() -> None:
    route = held(5)
    assert pushed(route, table(4), 101.0) == (route, Refusal.EPOCH_TOO_LOW)
    assert renewed(route, Renewal(4, 10.0), 101.0) == (route, Refusal.EPOCH_TOO_LOW)


def test_the_same_table_again_renews_the_lease_and_another_one_is_refused() -> None:
    route = held(5, now=100.0)
    again, refusal = pushed(route, table(5), 105.0)
    assert (refusal, again.lease_until) == (None, 115.0)
    assert pushed(route, table(5, release="r3"), 105.0) == (route, Refusal.TABLE_DIFFERS)


def test_a_renewal_moves_the_end_of_the_lease() -> None:
    route, refusal = renewed(held(5, now=100.0), Renewal(5, 10.0), 109.0)
    assert refusal is None
    assert route is not None
    assert route.lease_until == 119.0


def test_a_renewal_of_what_is_not_held_is_refused() -> None:
    assert renewed(None, Renewal(5, 10.0), 1.0) == (None, Refusal.EPOCH_UNKNOWN)
    route = held(5)
    assert renewed(route, Renewal(6, 10.0), 101.0) == (route, Refusal.EPOCH_UNKNOWN)


def test_an_ended_lease_comes_back_by_a_higher_epoch_only() -> None:
    ended = settled(held(5, now=100.0), 110.0)
    assert renewed(ended, Renewal(5, 10.0), 111.0)[1] is Refusal.LEASE_EXPIRED
    assert pushed(ended, table(5), 111.0) == (ended, Refusal.LEASE_EXPIRED)
    route, refusal = pushed(ended, table(6), 111.0)
    assert (route.state, refusal) == (RouteState.ACTIVE, None)


def test_a_renewal_that_comes_too_late_finds_the_lease_ended_though_nobody_looked_meanwhile() -> None:
    route, refusal = renewed(held(5, now=100.0), Renewal(5, 10.0), 110.0)
    assert refusal is Refusal.LEASE_EXPIRED
    assert route is not None
    assert route.state is RouteState.LEASE_EXPIRED


def test_a_forced_tier_refuses_until_a_higher_epoch_comes() -> None:
    route = forced(held(5), FORCE)
    assert arms(route) == {Arm.STABLE: 10_000}
    assert pushed(route, table(5), 101.0) == (route, Refusal.FORCED_STABLE)
    assert renewed(route, Renewal(5, 10.0), 101.0) == (route, Refusal.FORCED_STABLE)
    assert settled(route, 1e9) is route
    after, refusal = pushed(route, table(6), 101.0)
    assert (after.state, after.forced_by, refusal) == (RouteState.ACTIVE, None, None)


def test_after_a_restart_only_stable_serves_until_the_table_is_pushed_again() -> None:
    route = recovered(held(5).record())
    assert arms(route) == {Arm.STABLE: 10_000}
    assert route.counted_epoch == UNJUDGED_EPOCH
    assert pushed(route, table(4), 1.0) == (route, Refusal.EPOCH_TOO_LOW)
    assert renewed(route, Renewal(5, 10.0), 1.0) == (route, Refusal.EPOCH_UNKNOWN)
    again, refusal = pushed(route, table(5), 1.0)
    assert (arms(again), refusal) == ({Arm.STABLE: 9_500, Arm.CANARY: 500}, None)


def test_a_restart_does_not_reopen_an_epoch_that_was_stopped() -> None:
    by_hand = recovered(forced(held(5), FORCE).record())
    assert pushed(by_hand, table(5), 1.0) == (by_hand, Refusal.FORCED_STABLE)
    assert by_hand.forced_by == FORCE
    ended = recovered(settled(held(5, now=0.0), 10.0).record())
    assert pushed(ended, table(5), 11.0) == (ended, Refusal.LEASE_EXPIRED)


ACTS = st.lists(
    st.tuples(st.sampled_from(["push", "renew", "force", "restart"]), st.integers(1, 6), st.floats(0.0, 12.0)),
    max_size=30,
)


@given(ACTS)
def test_whatever_happens_the_fence_only_rises_and_a_closed_epoch_stays_closed(acts: Any) -> None:
    route: TierRoute | None = None
    now, fence, closed = 0.0, 0, set()
    for act, epoch, wait in acts:
        now += wait
        if route is not None:
            route = settled(route, now)
            if route.state is not RouteState.ACTIVE:
                closed.add(route.table.epoch)
        if act == "push":
            route, refusal = pushed(route, table(epoch), now)
            assert (refusal is None) == (epoch >= fence and epoch not in closed)
        elif act == "renew":
            route, _ = renewed(route, Renewal(epoch, 10.0), now)
        elif route is not None:
            route = forced(route, FORCE) if act == "force" else recovered(route.record())
        if route is not None:
            assert route.table.epoch >= fence
            fence = route.table.epoch
            assert sum(weight for _, weight in route.in_force) == 10_000
            if fence in closed:
                assert arms(route) == {Arm.STABLE: 10_000}
