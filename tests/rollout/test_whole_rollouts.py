"""Whole rollouts in virtual time, from their start to their end; the world checks its invariants at every tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import World, release
from ops.rollout.commanding import pause, resume
from ops.rollout.observing import Checked
from ops.rollout.plan import RolloutPlan, Then
from ops.rollout.states import State
from serving.contract import Arm, RouteState

Build = Callable[..., World]


def weights(world: World) -> list[tuple[int, int]]:
    """Canary's and baseline's basis points of each table, in order, calibrations left out."""
    found: list[tuple[int, int]] = []
    for table in world.tables:
        arms = {route.arm: route.weight for route in table.routes}
        pair = arms.get(Arm.CANARY, 0), arms.get(Arm.BASELINE, 0)
        if not found or found[-1] != pair:
            found.append(pair)
    return found


def begun(build: Build, behaviour: Behaviour | None = None, **arguments: object) -> World:
    made = build(behaviours={"next": behaviour or Behaviour()}, **arguments)
    made.begin(release("next"))
    return made


def failed_users(world: World) -> int:
    return sum(gateway.turned_away for gateway in world.gateways)


def test_a_good_release_is_promoted_through_every_step(world: Build) -> None:
    good = begun(world)
    assert good.to_the_end() is State.PROMOTED
    assert weights(good)[:4] == [(0, 0), (500, 500), (5000, 0), (10000, 0)]
    assert good.tier.stable is not None
    assert good.tier.stable.release.name == "next"
    assert failed_users(good) == 0


def test_once_promoted_every_worker_serves_it_without_a_lease(world: Build) -> None:
    good = begun(world)
    good.to_the_end()
    for gateway in good.gateways:
        route = gateway.current(good.now)
        assert route is not None
        assert route.table.route(Arm.STABLE).release == "next"
        assert route.table.lease_seconds is None


def test_the_former_stable_keeps_its_replicas_until_the_rollback_window_has_passed(
    world: Build, plan: RolloutPlan
) -> None:
    good = begun(world)
    good.to_the_end()
    promoted = good.now
    good.run(seconds=plan.pace.rollback_window_seconds + 5)
    stopped = [at for at, name in good.engines.stopped if name.startswith("stable-")]
    assert len(stopped) == plan.stable_replicas
    assert min(stopped) >= promoted + plan.pace.rollback_window_seconds - 2
    assert good.tier.retained is None


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour(slower=1.5), Behaviour(failed_rate=0.2), Behaviour(empty_rate=0.5), Behaviour(dead=True)],
    ids=["half-as-slow-again", "errors", "empty-answers", "dead"],
)
def test_a_bad_release_is_rolled_back_at_the_first_step(world: Build, behaviour: Behaviour) -> None:
    bad = begun(world, behaviour)
    assert bad.to_the_end() is State.ROLLED_BACK
    assert max(weights(bad)) == (500, 500)
    assert weights(bad)[-1] == (0, 0)
    assert bad.tier.stable is not None
    assert bad.tier.stable.release.name == "stable"
    bad.run(seconds=5)
    assert set(bad.engines.declared) == {"stable-0", "stable-1"}


def test_a_release_that_turns_bad_at_full_traffic_is_rolled_back_too(world: Build) -> None:
    turning = begun(world)
    turning.run(until=lambda: turning.rollout and turning.rollout.served_step == 2)
    turning.behaviours = {"next": Behaviour(failed_rate=0.4)}
    assert turning.to_the_end() is State.ROLLED_BACK


def test_new_requests_go_to_stable_in_the_tick_of_the_rollback(world: Build) -> None:
    bad = begun(world, Behaviour(failed_rate=0.5))
    bad.run(until=lambda: bad.rollout and bad.rollout.state is State.ROLLING_BACK)
    for gateway in bad.gateways:
        route = gateway.current(bad.now)
        assert route is not None
        assert [part.arm for part, _ in route.in_force] == [Arm.STABLE]


def test_running_requests_finish_before_the_replicas_of_a_bad_release_end(world: Build) -> None:
    bad = begun(world, Behaviour(dead=True))  # each of its requests ends by a time-out after 15 s
    bad.run(until=State.ROLLING_BACK)
    began = bad.now
    bad.to_the_end()
    assert bad.now - began >= 10
    stopped = [at for at, name in bad.engines.stopped if "canary" in name]
    assert min(stopped) >= bad.now


def test_the_first_release_of_a_tier_goes_straight_to_stable(world: Build) -> None:
    first = begun(world, stable=None)
    assert first.to_the_end() is State.PROMOTED
    assert first.tier.stable is not None
    assert len(first.tier.stable.replicas) == first.plan.stable_replicas


# --- What goes wrong around it ------------------------------------------------------------------------------------


def test_an_artefact_that_is_not_what_was_registered_never_starts(world: Build) -> None:
    refused = begun(world, artefact=Checked(False, "model.bin differs"))
    assert refused.to_the_end() is State.REFUSED
    refused.run(seconds=5)
    assert not any("canary" in name for name in (*refused.engines.declared, *(n for _, n in refused.engines.stopped)))
    assert weights(refused) == [(0, 0)]


def test_an_artefact_changed_while_its_replicas_read_it_is_rolled_back_before_it_serves(world: Build) -> None:
    changed = begun(world)
    changed.run(until=State.WARMING)
    changed.artefact = Checked(False, "model.bin differs")
    assert changed.to_the_end() is State.ROLLED_BACK
    assert weights(changed) == [(0, 0)]


def test_an_artefact_changed_in_mid_rollout_is_found_at_the_next_step(world: Build) -> None:
    changed = begun(world)
    changed.run(until=State.ANALYSING)
    changed.artefact = Checked(False, "model.bin differs")
    assert changed.to_the_end() is State.ROLLED_BACK
    assert max(weights(changed)) == (500, 500)


def test_replicas_that_never_start_end_the_rollout_before_it_serves(world: Build) -> None:
    stuck = begun(world)
    stuck.engines.exhausted.add("canary-0")
    assert stuck.to_the_end() is State.ROLLED_BACK
    assert weights(stuck) == [(0, 0)]


def test_replicas_that_start_too_slowly_end_the_rollout(world: Build, plan: RolloutPlan) -> None:
    slow = begun(world, plan=replace(plan, prepare_seconds_max=30))
    slow.engines.start_seconds = 31.0
    assert slow.to_the_end() is State.ROLLED_BACK
    assert "not ready within 30 s" in slow.story()


def test_a_canary_replica_that_keeps_dying_under_analysis_is_rolled_back(world: Build) -> None:
    dying = begun(world, requests_per_second=0.01)  # too little traffic for any evidence
    dying.run(until=State.ANALYSING)
    dying.engines.exhausted.add("canary-0")
    dying.run(seconds=5)
    assert dying.rollout is not None
    assert dying.state in (State.ROLLING_BACK, State.ROLLED_BACK)


def test_a_release_is_not_promoted_while_one_of_its_replicas_is_down(world: Build) -> None:
    down = begun(world)
    down.run(until=lambda: down.rollout and down.rollout.served_step == 2)
    assert down.rollout is not None
    down.engines.declared[down.rollout.canary[1].name] = down.now + 40  # restarted: ready 42 s from now
    began = down.now
    assert down.to_the_end() is State.PROMOTED
    assert down.now - began >= 40


def test_a_failed_warm_up_ends_the_rollout_before_it_serves(world: Build) -> None:
    cold = begun(world, warm_up=Checked(False, "answered 500"))
    assert cold.to_the_end() is State.ROLLED_BACK
    assert weights(cold) == [(0, 0)]


def test_when_the_leases_run_out_the_workers_go_back_and_the_rollout_resumes_to_the_same_end(world: Build) -> None:
    alone = begun(world)
    alone.run(until=State.ANALYSING)
    alone.dead_until = alone.now + 25
    alone.run(seconds=24)
    for gateway in alone.gateways:
        route = gateway.current(alone.now)
        assert route is not None
        assert route.state is RouteState.LEASE_EXPIRED
    alone.run(until=State.SUSPENDED)
    assert alone.to_the_end() is State.PROMOTED
    assert alone.rollout is not None
    assert alone.rollout.generation == 1
    assert failed_users(alone) == 0


def test_a_paused_rollout_whose_leases_ran_out_waits_for_a_hand(world: Build) -> None:
    paused = begun(world)
    paused.run(until=State.ANALYSING)
    paused.command(lambda so_far: pause(so_far, paused.now, "somebody", "to look closer"))
    paused.dead_until = paused.now + 25
    paused.run(until=State.SUSPENDED)
    paused.run(seconds=60)
    assert paused.state is State.SUSPENDED
    paused.command(lambda so_far: resume(so_far, paused.now, "somebody", "seen enough"))
    assert paused.to_the_end() is State.PROMOTED


def test_everything_sent_to_stable_by_hand_suspends_until_somebody_resumes(world: Build) -> None:
    forced = begun(world)
    forced.run(until=State.ANALYSING)
    for gateway in forced.gateways:
        gateway.force_stable("somebody", "users complain")
    forced.run(seconds=90)
    assert forced.state is State.SUSPENDED
    assert "users complain" in forced.story()
    forced.command(lambda so_far: resume(so_far, forced.now, "somebody", "it was something else"))
    assert forced.to_the_end() is State.PROMOTED


@pytest.mark.parametrize("state", [State.PREPARING, State.WARMING])
def test_the_break_glass_holds_before_the_canary_serves_too(world: Build, state: State) -> None:
    forced = begun(world)
    forced.run(until=state)
    forced.run(seconds=1)
    forced.gateways[0].force_stable("somebody", "not now")
    forced.run(seconds=60)
    assert forced.state is State.SUSPENDED
    assert weights(forced) == [(0, 0)]


def test_a_worker_that_cannot_be_reached_holds_the_rollout_and_is_no_reason_to_roll_back(
    world: Build, plan: RolloutPlan
) -> None:
    lonely = begun(world)
    lonely.run(until=State.ANALYSING)
    lonely.gateways[1].reachable = False
    lonely.run(seconds=plan.blind_seconds_max + 30)
    assert [entry.event for _, entry in lonely.journal if entry.event][-1] == "pause"
    lonely.gateways[1].reachable = True
    lonely.run(seconds=5)
    assert lonely.state is State.SUSPENDED  # its lease had run out: all go back together


def test_a_worker_cut_off_for_a_moment_delays_and_changes_nothing(world: Build) -> None:
    lonely = begun(world)
    lonely.run(until=State.ANALYSING)
    lonely.gateways[1].reachable = False
    lonely.run(seconds=10)
    assert lonely.state is State.ANALYSING
    lonely.gateways[1].reachable = True
    assert lonely.to_the_end() is State.PROMOTED
    assert lonely.rollout is not None
    assert lonely.rollout.generation == 0


def test_the_weight_believed_is_the_one_observed(world: Build) -> None:
    half = begun(world)
    half.run(until=State.WARMING)
    half.gateways[1].deaf = True  # it keeps all of its requests on stable
    half.run(until=State.ANALYSING)
    half.run(seconds=50)
    assert half.rollout is not None
    assert half.rollout.blind_since is not None
    assert max(weights(half)) == (500, 500)
    half.gateways[1].deaf = False
    assert half.to_the_end() is State.PROMOTED


def test_a_rollback_does_not_wait_for_ever_for_a_worker_that_is_gone(world: Build, plan: RolloutPlan) -> None:
    gone = begun(world, Behaviour(failed_rate=0.5))
    gone.run(until=State.ROLLING_BACK)
    gone.gateways[1].reachable = False
    began = gone.now
    assert gone.to_the_end() is State.ROLLED_BACK
    assert gone.now - began <= plan.drain_seconds_max + plan.lease_seconds + 5
    route = gone.gateways[1].current(gone.now)
    assert route is not None
    assert [part.arm for part, _ in route.in_force] == [Arm.STABLE]


def test_a_restarted_worker_serves_stable_alone_until_it_is_brought_round(world: Build) -> None:
    restarted = begun(world)
    restarted.run(until=State.ANALYSING)
    restarted.run(seconds=5)
    restarted.gateways[0].restart()
    route = restarted.gateways[0].current(restarted.now)
    assert route is not None
    assert [part.arm for part, _ in route.in_force] == [Arm.STABLE]
    assert restarted.to_the_end() is State.PROMOTED
    assert failed_users(restarted) == 0


def test_rolling_back_needs_no_word_from_whatever_runs_the_replicas(world: Build) -> None:
    away = begun(world, Behaviour(failed_rate=0.5))
    away.run(until=State.ANALYSING)
    away.engines.away = True
    away.run(until=State.ROLLING_BACK)
    away.run(seconds=2)
    for gateway in away.gateways:
        route = gateway.current(away.now)
        assert route is not None
        assert route.table.lease_seconds is None
        assert [part.arm for part, _ in route.in_force] == [Arm.STABLE]


# --- What the judge cannot see ------------------------------------------------------------------------------------


def test_blind_for_a_moment_goes_on(world: Build) -> None:
    blind = begun(world)
    blind.run(until=State.ANALYSING)
    blind.gateways[0].counting = False
    blind.run(seconds=20)
    assert blind.state is State.ANALYSING
    blind.gateways[0].counting = True
    assert blind.to_the_end() is State.PROMOTED


@pytest.mark.parametrize(("then", "state"), [(Then.PAUSE, State.PAUSED), (Then.ROLLBACK, State.ROLLED_BACK)])
def test_blind_for_too_long_does_what_the_spec_says(
    world: Build, plan: RolloutPlan, then: Then, state: State
) -> None:
    blind = begun(world, plan=replace(plan, blind_then=then))
    blind.run(until=State.ANALYSING)
    blind.gateways[0].counting = False
    blind.run(seconds=plan.blind_seconds_max + plan.lease_seconds)
    assert blind.state is state


def test_while_blind_the_next_step_is_prepared_and_never_served(world: Build) -> None:
    blind = begun(world)
    blind.run(until=lambda: blind.rollout and blind.rollout.step == 1)
    blind.gateways[0].counting = False
    blind.run(seconds=40)
    assert max(weights(blind)) == (500, 500)


@pytest.mark.parametrize(("then", "state"), [(Then.PAUSE, State.PAUSED), (Then.ROLLBACK, State.ROLLED_BACK)])
def test_no_answer_in_time_does_what_the_spec_says(world: Build, plan: RolloutPlan, then: Then, state: State) -> None:
    idle = begun(world, plan=replace(plan, inconclusive_then=then), requests_per_second=1.0)
    idle.run(until=State.ANALYSING)
    idle.run(seconds=plan.pace.step_seconds_max - 2)
    assert idle.state is State.ANALYSING
    idle.run(seconds=30)
    assert idle.state is state


def test_without_traffic_nothing_advances(world: Build) -> None:
    idle = begun(world, requests_per_second=1e-6)
    idle.run(seconds=2 * idle.plan.pace.step_seconds_max)
    assert idle.state is State.PAUSED
    assert max(weights(idle)) == (500, 500)
