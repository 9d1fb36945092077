"""What operators ask of a rollout, in every state, in virtual time and as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import TIER, World, release, replica
from ops.rollout import commanding
from ops.rollout.commanding import CommandRefused
from ops.rollout.decided import Decided
from ops.rollout.plan import RolloutPlan
from ops.rollout.record import Fleet, Rollout, Strategy, TierRecord
from ops.rollout.states import ENDED, State
from serving.contract import Arm

Build = Callable[..., World]
Command = Callable[[Decided, float, str, str], Decided]


def ask(world: World, command: Command, reason: str = "") -> None:
    world.command(lambda so_far: command(so_far, world.now, "somebody", reason))


def begun(build: Build, behaviour: Behaviour | None = None, **arguments: object) -> World:
    made = build(behaviours={"next": behaviour or Behaviour()}, **arguments)
    made.begin(release("next"))
    return made


def canary_weight(world: World) -> int:
    table = world.tier.table
    assert table is not None
    return {route.arm: route.weight for route in table.routes}.get(Arm.CANARY, 0)


def serves(step: int) -> Callable[[World], Callable[[], object]]:
    return lambda world: lambda: world.rollout and world.rollout.served_step == step


# --- Starting -----------------------------------------------------------------------------------------------------


def test_only_one_rollout_of_a_tier_at_a_time(world: Build) -> None:
    first = begun(world)
    with pytest.raises(CommandRefused, match="is preparing"):
        first.begin(release("other"))


def test_nothing_starts_under_a_freeze(world: Build) -> None:
    frozen = world(frozen="the festival")
    with pytest.raises(CommandRefused, match="the festival"):
        frozen.begin(release("next"))
    assert frozen.rollout is None


def test_the_stable_release_is_not_rolled_out_again(world: Build) -> None:
    with pytest.raises(CommandRefused, match="stable release of production already"):
        world().begin(release("stable"))


def test_a_release_of_another_tier_is_refused(world: Build) -> None:
    with pytest.raises(CommandRefused, match="for tier edge"):
        world().begin(replace(release("next"), tier="edge"))


# --- Pause, resume, promote, roll back ----------------------------------------------------------------------------


def test_a_paused_rollout_keeps_its_share_and_does_not_advance(world: Build) -> None:
    paused = begun(world)
    paused.run(until=State.ANALYSING)
    ask(paused, commanding.pause, "to look closer")
    paused.run(seconds=300)
    assert paused.state is State.PAUSED
    assert canary_weight(paused) == 500
    ask(paused, commanding.resume)
    assert paused.to_the_end() is State.PROMOTED


def test_a_paused_rollout_is_still_rolled_back_by_evidence(world: Build) -> None:
    paused = begun(world)
    paused.run(until=State.ANALYSING)
    ask(paused, commanding.pause)
    paused.behaviours = {"next": Behaviour(failed_rate=0.5)}
    assert paused.to_the_end() is State.ROLLED_BACK


@pytest.mark.parametrize("state", [State.PREPARING, State.WARMING])
def test_a_pause_while_the_next_step_is_prepared_holds_the_one_in_force(world: Build, state: State) -> None:
    paused = begun(world)
    paused.run(until=serves(0)(paused))
    paused.run(until=state)
    ask(paused, commanding.pause)
    paused.run(seconds=100)
    assert paused.rollout is not None
    assert (paused.state, paused.rollout.step, canary_weight(paused)) == (State.PAUSED, 0, 500)
    ask(paused, commanding.resume)
    assert paused.to_the_end() is State.PROMOTED


@pytest.mark.parametrize("state", [State.PREPARING, State.WARMING])
def test_a_pause_before_anything_serves_is_refused(world: Build, state: State) -> None:
    early = begun(world)
    early.run(until=state)
    with pytest.raises(CommandRefused, match="serves nothing yet"):
        ask(early, commanding.pause)
    assert early.state is state


def test_promoted_by_hand_it_goes_on_only_with_full_capacity(world: Build) -> None:
    pushed = begun(world, requests_per_second=5.0)  # too little for the judge to advance in this time
    pushed.run(until=State.ANALYSING)
    ask(pushed, commanding.promote, "it cannot wait")
    assert pushed.state is State.PREPARING
    assert canary_weight(pushed) == 500
    assert pushed.to_the_end() is State.PROMOTED
    assert pushed.tier.stable is not None
    assert len(pushed.tier.stable.replicas) == pushed.plan.stable_replicas
    assert sum(gateway.turned_away for gateway in pushed.gateways) == 0


def test_promoted_by_hand_evidence_of_harm_still_rolls_it_back(world: Build) -> None:
    pushed = begun(world, Behaviour(failed_rate=0.6))
    pushed.engines.start_seconds = 2.0
    pushed.run(until=State.ANALYSING)
    pushed.engines.start_seconds = 60.0
    ask(pushed, commanding.promote)
    assert pushed.to_the_end() is State.ROLLED_BACK


@pytest.mark.parametrize("state", [State.PREPARING, State.WARMING, State.ANALYSING, State.PAUSED])
def test_promotion_can_be_asked_for_in_every_state_that_goes_forward(world: Build, state: State) -> None:
    asked = begun(world)
    if state is State.PAUSED:
        asked.run(until=State.ANALYSING)
        ask(asked, commanding.pause)
    else:
        asked.run(until=state)
    ask(asked, commanding.promote)
    assert asked.to_the_end() is State.PROMOTED


@pytest.mark.parametrize(
    "state", [State.PREPARING, State.WARMING, State.ANALYSING, State.PAUSED, State.SUSPENDED], ids=str
)
def test_a_rollback_by_hand_is_possible_in_every_state_that_has_not_ended(world: Build, state: State) -> None:
    back = begun(world)
    if state is State.PAUSED:
        back.run(until=State.ANALYSING)
        ask(back, commanding.pause)
    elif state is State.SUSPENDED:
        back.run(until=State.ANALYSING)
        back.gateways[0].force_stable("somebody", "trouble")
        back.run(until=state)
    else:
        back.run(until=state)
    ask(back, commanding.roll_back, "changed my mind")
    assert back.to_the_end() is State.ROLLED_BACK
    assert "changed my mind" in back.story()
    assert canary_weight(back) == 0


@pytest.mark.parametrize("command", [commanding.pause, commanding.resume, commanding.promote, commanding.roll_back])
@pytest.mark.parametrize("state", sorted(ENDED | {State.PROMOTING, State.ROLLING_BACK}))
def test_what_comes_too_late_is_refused_and_changes_nothing(
    plan: RolloutPlan, state: State, command: Command
) -> None:
    rollout = Rollout("r1", TIER, release("next"), Strategy.CANARY, plan, 0.0, "somebody", state=state)
    so_far = Decided(TierRecord(TIER), rollout)
    with pytest.raises(CommandRefused):
        command(so_far, 1.0, "somebody", "")
    assert so_far == Decided(TierRecord(TIER), rollout)


def test_resuming_what_is_not_held_is_refused(world: Build) -> None:
    going = begun(world)
    going.run(until=State.ANALYSING)
    with pytest.raises(CommandRefused):
        ask(going, commanding.resume)


def test_promotion_of_a_suspended_rollout_is_refused(world: Build) -> None:
    held = begun(world)
    held.run(until=State.ANALYSING)
    held.gateways[0].force_stable("somebody", "trouble")
    held.run(until=State.SUSPENDED)
    with pytest.raises(CommandRefused, match="resume it first"):
        ask(held, commanding.promote)


def test_the_journal_names_who_asked_and_why(world: Build) -> None:
    paused = begun(world)
    paused.run(until=State.ANALYSING)
    ask(paused, commanding.pause, "to look closer")
    _, entry = paused.journal[-1]
    assert (entry.actor, entry.event, entry.reason) == ("somebody", "pause", "to look closer")


# --- Freeze -------------------------------------------------------------------------------------------------------


def test_a_freeze_holds_what_would_advance_until_it_is_lifted(world: Build) -> None:
    frozen = begun(world)
    frozen.run(until=State.ANALYSING)
    frozen.frozen = "the festival"
    frozen.run(seconds=300)
    assert canary_weight(frozen) == 500
    frozen.frozen = None
    assert frozen.to_the_end() is State.PROMOTED


def test_a_freeze_does_not_hold_a_rollback(world: Build) -> None:
    frozen = begun(world)
    frozen.run(until=State.ANALYSING)
    frozen.frozen = "the festival"
    frozen.behaviours = {"next": Behaviour(failed_rate=0.5)}
    assert frozen.to_the_end() is State.ROLLED_BACK


def test_a_freeze_holds_a_warm_canary_before_it_serves(world: Build) -> None:
    frozen = begun(world)
    frozen.run(until=State.PREPARING)
    frozen.frozen = "the festival"
    frozen.run(seconds=60)
    assert canary_weight(frozen) == 0


# --- Back to an earlier release -----------------------------------------------------------------------------------


def promoted(build: Build) -> World:
    made = begun(build)
    made.to_the_end()
    made.run(seconds=2)
    return made


def go_back(world: World, to: str, reason: str = "it answers nonsense") -> None:
    world.command(
        lambda so_far: commanding.return_to(
            so_far.tier, so_far.rollout, release(to), world.plan, rollout_id="back", now=world.now, actor="somebody",
            reason=reason,
        )
    )


def test_within_the_window_the_former_stable_is_back_at_once_on_the_replicas_that_still_run(world: Build) -> None:
    back = promoted(world)
    go_back(back, "stable")
    asked = back.now
    assert back.to_the_end() is State.PROMOTED
    assert back.now - asked <= 5
    assert back.tier.stable is not None
    assert [spec.name for spec in back.tier.stable.replicas] == ["stable-0", "stable-1"]
    assert sum(gateway.turned_away for gateway in back.gateways) == 0


def test_after_the_window_it_is_started_and_warmed_anew(world: Build, plan: RolloutPlan) -> None:
    back = promoted(world)
    back.run(seconds=plan.pace.rollback_window_seconds + 10)
    go_back(back, "stable")
    assert back.to_the_end() is State.PROMOTED
    assert back.tier.stable is not None
    assert back.tier.stable.release.name == "stable"
    assert all(spec.name.startswith("back-") for spec in back.tier.stable.replicas)
    assert {spec.name for spec in back.tier.stable.replicas} <= back.warmed
    assert sum(gateway.turned_away for gateway in back.gateways) == 0


def test_a_freeze_does_not_bar_the_way_back(world: Build) -> None:
    back = promoted(world)
    back.frozen = "the festival"
    go_back(back, "stable")
    assert back.to_the_end() is State.PROMOTED


def test_the_way_back_survives_the_end_of_the_window_and_the_break_glass(world: Build) -> None:
    back = promoted(world)
    assert back.tier.retained is not None
    back.run(until=lambda: back.tier.retained and back.now >= back.tier.retained.until - 1)
    go_back(back, "stable")
    back.gateways[0].force_stable("somebody", "wait")
    back.run(seconds=10)
    assert back.state is State.SUSPENDED
    ask(back, commanding.resume)
    assert back.to_the_end() is State.PROMOTED
    assert back.tier.stable is not None
    assert [spec.name for spec in back.tier.stable.replicas] == ["stable-0", "stable-1"]
    assert sum(gateway.turned_away for gateway in back.gateways) == 0


def test_going_back_during_a_rollout_is_refused_with_what_to_do(plan: RolloutPlan) -> None:
    stable = release("stable")
    tier = TierRecord(TIER, stable=Fleet(stable, (replica("stable-0", stable),)))
    active = Rollout("r1", TIER, release("next"), Strategy.CANARY, plan, 0.0, "somebody")
    with pytest.raises(CommandRefused, match="ops canary rollback"):
        commanding.return_to(
            tier, active, release("old"), plan, rollout_id="r2", now=1.0, actor="somebody", reason="trouble"
        )
