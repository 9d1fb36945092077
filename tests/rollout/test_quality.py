"""Whole rollouts in virtual time, with models that are sound, damaged, worse, or cannot be judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.rollout_world import SOUND, World, release
from ops.quality.model import TranscriptState
from ops.rollout import commanding
from ops.rollout.observing import Probed, blind_probe
from ops.rollout.plan import QualityPlan, Role, RolloutPlan
from ops.rollout.states import State
from ops.verdict import Evidence, Outcome, Verdict

Build = Callable[..., World]
SHOWN = Verdict(Outcome.FAIL, (Evidence("9 tokens differ"),))
THIN = Verdict(Outcome.INCONCLUSIVE, (Evidence("the margin is within reach"),))
DAMAGED = Probed(True, "probed", SHOWN, SOUND)
WORSE = Probed(True, "probed", SOUND, SHOWN)
UNSURE = Probed(True, "probed", SOUND, THIN)
BLIND = blind_probe("it could not be probed")


def quality(plan: RolloutPlan, **changes: object) -> RolloutPlan:
    assert plan.quality is not None
    return replace(plan, quality=replace(plan.quality, **changes))  # type: ignore[arg-type]


def watched(plan: RolloutPlan, role: Role) -> RolloutPlan:
    assert isinstance(plan.quality, QualityPlan)
    damage, likelihood = plan.quality.damage, plan.quality.likelihood
    return quality(plan, damage=replace(damage, role=role), likelihood=replace(likelihood, role=role))


def ever_served(world: World) -> bool:
    return any(route.arm.value == "canary" for table in world.tables for route in table.routes)


@pytest.mark.parametrize(("probe", "words"), [(DAMAGED, "damaged weights on"), (WORSE, "a worse model on")])
def test_what_is_shown_before_it_serves_ends_it_without_weight(world: Build, probe: Probed, words: str) -> None:
    one = world(probe=probe)
    one.begin(release("next"))
    assert one.to_the_end() is State.ROLLED_BACK
    assert one.rollout is not None
    assert words in one.rollout.reason
    assert not ever_served(one)


@pytest.mark.parametrize("probe", [BLIND, UNSURE])
def test_what_cannot_be_judged_gets_no_weight_and_is_given_up(world: Build, probe: Probed) -> None:
    one = world(probe=probe)
    one.begin(release("next"))
    assert one.to_the_end() is State.ROLLED_BACK
    assert one.rollout is not None
    assert "not shown to be sound within" in one.rollout.reason
    assert not ever_served(one)


def test_a_blind_probe_is_tried_again_and_a_sound_one_lets_it_serve(world: Build) -> None:
    one = world(probe=BLIND)
    one.begin(release("next"))
    one.run(until=State.WARMING)
    one.run(seconds=20)
    assert one.state is State.WARMING
    one.probe = Probed(True, "probed", SOUND, SOUND)
    one.run(until=State.ANALYSING, seconds=20)
    assert one.state is State.ANALYSING


@pytest.mark.parametrize("command", [None, "pause"])
def test_damage_while_it_serves_is_rolled_back_within_a_period(world: Build, plan: RolloutPlan, command: str) -> None:
    one = world(plan=quality(plan, probe_every_seconds=10))
    one.begin(release("next"))
    one.run(until=State.ANALYSING)
    one.probe = DAMAGED
    if command:
        one.command(lambda so_far: commanding.pause(so_far, one.now, "somebody", ""))
    since = one.now
    assert one.to_the_end() is State.ROLLED_BACK
    assert one.now - since < 60
    assert one.rollout is not None
    assert "damaged weights on" in one.rollout.reason


def test_probes_that_turn_blind_while_it_serves_stop_it_from_advancing(world: Build, plan: RolloutPlan) -> None:
    one = world(plan=quality(plan, probe_every_seconds=2))
    one.begin(release("next"))
    one.run(until=State.ANALYSING)
    one.probe = BLIND
    one.run(until=lambda: one.state is not State.ANALYSING)
    assert one.state is State.PAUSED
    assert one.rollout is not None
    assert one.rollout.served_step == 0
    assert "is invalid: it could not be probed" in one.rollout.reason


@pytest.mark.parametrize("probe", [DAMAGED, WORSE, BLIND])
def test_what_is_only_watched_decides_nothing_and_is_in_the_journal(
    world: Build, plan: RolloutPlan, probe: Probed
) -> None:
    one = world(plan=watched(plan, Role.WATCHED), probe=probe)
    one.begin(release("next"))
    assert one.to_the_end() is State.PROMOTED
    assert any(entry.kind == "quality" for _, entry in one.journal)


def test_what_is_off_is_not_probed(world: Build, plan: RolloutPlan) -> None:
    one = world(plan=watched(plan, Role.OFF), probe=DAMAGED, transcripts=None)
    one.begin(release("next"))
    assert one.to_the_end() is State.PROMOTED
    assert not [entry for _, entry in one.journal if entry.kind == "quality"]


def test_a_rollout_waits_for_its_transcript_and_not_for_ever(world: Build, plan: RolloutPlan) -> None:
    one = world(plan=quality(plan, record_seconds_max=100), transcripts=TranscriptState.PENDING)
    one.begin(release("next"))
    one.run(seconds=90)
    assert one.state is State.PREPARING
    assert one.rollout is not None
    assert one.rollout.canary == ()
    assert one.to_the_end() is State.ROLLED_BACK
    assert "not recorded within 100 s" in one.rollout.reason


def test_it_goes_on_when_the_transcript_is_there_with_its_whole_time_to_start(world: Build, plan: RolloutPlan) -> None:
    one = world(plan=replace(plan, prepare_seconds_max=30), transcripts=None)
    one.begin(release("next"))
    one.run(seconds=60)
    one.transcripts = TranscriptState.RECORDED
    assert one.to_the_end() is State.PROMOTED


def test_a_transcript_that_could_not_be_recorded_ends_it_at_once(world: Build) -> None:
    one = world(transcripts=TranscriptState.FAILED)
    one.begin(release("next"))
    assert one.to_the_end() is State.ROLLED_BACK
    assert one.rollout is not None
    assert "could not be recorded" in one.rollout.reason


def test_the_first_release_of_a_tier_is_not_probed(world: Build) -> None:
    one = world(stable=None, probe=DAMAGED, transcripts=None)
    one.begin(release("next"))
    assert one.to_the_end() is State.PROMOTED
