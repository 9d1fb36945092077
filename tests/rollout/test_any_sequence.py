"""Whatever happens in whatever order, what must hold holds at every tick, and in the end a rollout ends."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import World, release
from ops.rollout import commanding
from ops.rollout.commanding import CommandRefused
from ops.rollout.plan import RolloutPlan
from ops.rollout.states import State
from serving.contract import Arm

HAPPENINGS = st.one_of(
    st.tuples(st.just("pass"), st.integers(1, 30)),
    st.tuples(st.sampled_from(["pause", "resume", "promote", "roll_back"]), st.just(0)),
    st.tuples(st.just("kill"), st.sampled_from([2, 14, 16, 40])),
    st.tuples(st.sampled_from(["cut_off", "uncount"]), st.integers(0, 1)),
    st.tuples(st.sampled_from(["restart", "force"]), st.integers(0, 1)),
    st.tuples(st.sampled_from(["freeze", "heal", "engines_away", "canary_dies"]), st.just(0)),
    st.tuples(st.just("behave"), st.sampled_from([0, 1, 2])),
)
BEHAVIOURS = (Behaviour(), Behaviour(failed_rate=0.4), Behaviour(dead=True))


def happen(world: World, what: str, amount: int) -> None:
    gateway = world.gateways[amount % 2]
    match what:
        case "pass":
            world.run(seconds=amount)
        case "pause" | "resume" | "promote" | "roll_back":
            if world.active:
                with suppress(CommandRefused):
                    command = getattr(commanding, what)
                    world.command(lambda so_far: command(so_far, world.now, "somebody", ""))
        case "kill":
            world.dead_until = world.now + amount
            world.checking.keep(())
        case "cut_off":
            gateway.reachable = False
        case "uncount":
            gateway.counting = False
        case "restart":
            gateway.restart()
        case "force":
            gateway.force_stable("somebody", "trouble")
        case "freeze":
            world.frozen = "the festival"
        case "engines_away":
            world.engines.away = True
        case "canary_dies":
            world.engines.exhausted.add("canary-0")
        case "behave":
            world.behaviours = {"next": BEHAVIOURS[amount]}
        case "heal":
            heal(world)


def heal(world: World) -> None:
    world.frozen, world.engines.away, world.dead_until = None, False, 0.0
    for gateway in world.gateways:
        gateway.reachable = gateway.counting = True


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), derandomize=True)
@given(seed=st.integers(0, 1000), happenings=st.lists(HAPPENINGS, min_size=1, max_size=25))
def test_what_must_hold_holds_at_every_tick(plan: RolloutPlan, seed: int, happenings: list[tuple[str, int]]) -> None:
    with capture_logs():
        world = World(plan, seed=seed)
        try:
            world.begin(release("next"))
            for what, amount in happenings:
                happen(world, what, amount)
                world.run(seconds=1)
            heal(world)
            world.run(seconds=60)
            if world.active:  # held by a hand, by a pause, or simply not there yet
                with suppress(CommandRefused):
                    world.command(lambda so_far: commanding.roll_back(so_far, world.now, "somebody", "enough"))
            end = world.to_the_end()
            world.run(seconds=5)
            ends_well(world, end)
        finally:
            world.close()


def ends_well(world: World, end: State) -> None:
    """All traffic is on what the record calls stable, and nothing runs that should not."""
    assert world.tier.stable is not None
    stable = world.tier.stable.release.name
    assert stable == ("next" if end is State.PROMOTED else "stable")
    for gateway in world.gateways:
        route = gateway.current(world.now)
        assert route is not None
        assert [(part.arm, part.release) for part, _ in route.in_force] == [(Arm.STABLE, stable)], world.story()
    kept = {spec.name for spec in world.tier.stable.replicas}
    kept |= {spec.name for spec in world.tier.retained.fleet.replicas} if world.tier.retained else set()
    assert set(world.engines.declared) == kept, world.story()
