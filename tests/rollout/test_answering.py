"""What the judge says when somebody asks: never green without evidence, and asking changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import TIER, World, release
from ops.rollout.answering import Judgement, answer
from ops.rollout.commanding import CommandRefused, pause, promote, roll_back
from ops.rollout.observing import Checked, Observation
from ops.rollout.states import State
from ops.rollout.workers import see_workers
from ops.verdict import Outcome

Build = Callable[..., World]


def ask(world: World, step: int | None = None) -> Judgement:
    workers = asyncio.run(see_workers(world.gateways))
    states = {name: state.tiers.get(TIER) for name, state in workers.states.items()}
    seen = Observation(world.now, None, states, workers.unreachable, workers.snapshots)
    assert world.rollout is not None
    return answer(world.tier, world.rollout, seen, step)


def begun(build: Build, behaviour: Behaviour | None = None, **arguments: object) -> World:
    made = build(behaviours={"next": behaviour or Behaviour()}, **arguments)
    made.begin(release("next"))
    return made


def test_a_release_that_serves_nothing_yet_is_inconclusive(world: Build) -> None:
    said = ask(begun(world))
    assert (said.verdict, said.step, said.decision) == (Outcome.INCONCLUSIVE, None, None)


def test_too_little_evidence_is_inconclusive_and_enough_passes(world: Build) -> None:
    one = begun(world)
    one.run(until=State.ANALYSING)
    one.run(seconds=2)
    assert (ask(one).verdict, ask(one).decision) == (Outcome.INCONCLUSIVE, "hold")
    one.command(lambda so_far: pause(so_far, one.now, "somebody", ""))
    one.run(seconds=60)
    said = ask(one)
    assert (said.verdict, said.decision, said.step) == (Outcome.PASS, "advance", 1)


def test_harm_that_the_next_look_would_find_fails(world: Build) -> None:
    one = begun(world)
    one.run(until=State.ANALYSING)
    one.run(seconds=6)
    one.behaviours = {"next": Behaviour(failed_rate=0.9)}
    one.gateways[0].serve(one.now, 0.9, 5000, one.engines.ready)
    said = ask(one)
    assert (said.verdict, said.state) == (Outcome.FAIL, State.ANALYSING)
    assert "'failed' events" in said.evidence[0].text


def test_asking_changes_nothing(world: Build) -> None:
    asked, silent = begun(world), begun(world)
    for one in (asked, silent):
        one.run(until=State.ANALYSING)
    for _ in range(30):
        before = asked.rollout
        ask(asked)
        assert asked.rollout == before
        asked.run(seconds=1)
        silent.run(seconds=1)
    assert asked.rollout == silent.rollout


def test_a_worker_that_cannot_be_seen_makes_it_invalid(world: Build) -> None:
    one = begun(world)
    one.run(until=State.ANALYSING)
    one.run(seconds=5)
    one.gateways[1].reachable = False
    said = ask(one)
    assert (said.verdict, said.decision) == (Outcome.INVALID, "blind")


def test_suspended_is_invalid(world: Build) -> None:
    one = begun(world)
    one.run(until=State.ANALYSING)
    one.gateways[0].force_stable("somebody", "smoke")
    one.run(until=State.SUSPENDED)
    assert ask(one).verdict is Outcome.INVALID


def test_a_step_that_is_passed_stays_passed_and_one_to_come_is_open(world: Build) -> None:
    one = begun(world)
    one.run(until=lambda: one.rollout and one.rollout.served_step == 1 and one.state is State.ANALYSING)
    one.run(seconds=2)
    assert [ask(one, step).verdict for step in (1, 2, 3)] == [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE]
    for step in (0, 4):
        with pytest.raises(CommandRefused, match="steps 1 to 3"):
            ask(one, step)


def test_promoted_on_evidence_passes(world: Build) -> None:
    one = begun(world)
    one.to_the_end()
    assert ask(one).verdict is Outcome.PASS


@pytest.mark.parametrize("at_last_step", [False, True])
def test_promoted_by_hand_is_never_green(world: Build, at_last_step: bool) -> None:
    one = begun(world)
    one.run(until=State.ANALYSING)
    if at_last_step:
        one.run(until=lambda: one.rollout and one.rollout.served_step == 2 and one.state is State.ANALYSING)
    one.command(lambda so_far: promote(so_far, one.now, "somebody", "a hunch"))
    assert one.to_the_end() is State.PROMOTED
    said = ask(one)
    assert said.verdict is Outcome.INCONCLUSIVE
    assert "somebody decided it" in said.evidence[0].text


def test_the_first_release_of_a_tier_was_compared_with_nothing(world: Build) -> None:
    first = begun(world, stable=None)
    first.to_the_end()
    assert ask(first).verdict is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("by_hand", [False, True])
def test_rolled_back_fails_whoever_did_it(world: Build, by_hand: bool) -> None:
    one = begun(world, Behaviour() if by_hand else Behaviour(failed_rate=0.5))
    one.run(until=State.ANALYSING)
    if by_hand:
        one.command(lambda so_far: roll_back(so_far, one.now, "somebody", "enough"))
    assert one.to_the_end() is State.ROLLED_BACK
    assert ask(one).verdict is Outcome.FAIL


def test_refused_fails(world: Build) -> None:
    refused = begun(world, artefact=Checked(False, "model.bin differs"))
    refused.to_the_end()
    assert ask(refused).verdict is Outcome.FAIL


def test_every_state_has_an_answer(world: Build) -> None:
    one = begun(world)
    one.run(until=State.ANALYSING)
    assert one.rollout is not None
    for state in State:
        for served in (None, 0):
            one.rollout = replace(one.rollout, state=state, served_step=served)
            said = ask(one)
            assert said.evidence
            assert said.verdict is not Outcome.PASS or state in (State.PROMOTING, State.PROMOTED)
