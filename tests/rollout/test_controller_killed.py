"""The controller is killed at every tick of a rollout, before or after its decision was saved: the end is the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import Kill, World, release
from ops.rollout.states import State
from serving.contract import Arm

Build = Callable[..., World]
SHORTER_THAN_THE_LEASE, LONGER_THAN_THE_LEASE = 3.0, 20.0
BAD = Behaviour(failed_rate=0.3)


def run(build: Build, behaviour: Behaviour, kill: Kill | None) -> World:
    world = build(behaviours={"next": behaviour}, kill=kill)
    world.begin(release("next"))
    world.to_the_end()
    world.run(seconds=5)
    return world


@pytest.mark.parametrize("saved", [True, False], ids=["after-saving", "before-saving"])
@pytest.mark.parametrize("seconds", [SHORTER_THAN_THE_LEASE, LONGER_THAN_THE_LEASE])
@pytest.mark.parametrize(
    ("behaviour", "end", "stable"),
    [(Behaviour(), State.PROMOTED, "next"), (BAD, State.ROLLED_BACK, "stable")],
    ids=["good", "bad"],
)
def test_whenever_it_is_killed_the_rollout_comes_to_the_same_end(
    world: Build, behaviour: Behaviour, end: State, stable: str, seconds: float, saved: bool
) -> None:
    undisturbed = run(world, behaviour, None)
    assert undisturbed.state is end
    first, last = 11, undisturbed.ticks
    # Every tick at which something was decided, and every tenth of those between.
    decided = {int(at - 1_000_000) for at, _ in undisturbed.journal}
    for tick in range(first, last):
        if tick not in decided and tick % 10:
            continue
        killed = run(world, behaviour, Kill(tick, saved, seconds))
        assert killed.state is end, f"killed at tick {tick}: {killed.story()}"
        assert killed.tier.stable is not None
        assert killed.tier.stable.release.name == stable
        assert sum(gateway.turned_away for gateway in killed.gateways) == 0, f"killed at tick {tick}: {killed.story()}"
        for gateway in killed.gateways:
            route = gateway.current(killed.now)
            assert route is not None
            assert [(part.arm, part.release) for part, _ in route.in_force] == [(Arm.STABLE, stable)]


@pytest.mark.parametrize("tick", range(12, 60, 4))
def test_while_nobody_leads_no_user_stays_on_an_unjudged_release_longer_than_the_lease(world: Build, tick: int) -> None:
    killed = world(behaviours={"next": Behaviour(dead=True)}, kill=Kill(tick, True, 60.0))
    killed.begin(release("next"))
    killed.run(until=lambda: killed.ticks >= tick + killed.plan.lease_seconds + 1)
    for gateway in killed.gateways:
        route = gateway.current(killed.now)
        assert route is not None
        assert [part.arm for part, _ in route.in_force] == [Arm.STABLE]
    assert killed.to_the_end() is State.ROLLED_BACK
