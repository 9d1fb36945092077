"""Rollouts of the virtual world, their looks taken again from what was kept: the same comes out, or it is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import Kill, World, release
from ops.judge.model import Decision
from ops.rollout.commanding import pause, promote, resume
from ops.rollout.recorded import RecordedLook
from ops.rollout.replaying import replay
from ops.rollout.states import State
from ops.verdict import Outcome, Verdict
from serving.contract import Arm, BadEvent, CounterSnapshot

Build = Callable[..., World]


def replayed(world: World, looks: list[RecordedLook] | None = None) -> Verdict:
    assert world.rollout is not None
    entries = [entry for _, entry in world.journal]
    return replay(world.rollout, world.looks if looks is None else looks, entries)


def words(verdict: Verdict) -> str:
    return "\n".join(item.text for item in verdict.evidence)


def begun(build: Build, behaviour: Behaviour | None = None, **arguments: object) -> World:
    made = build(behaviours={"next": behaviour or Behaviour()}, **arguments)
    made.begin(release("next"))
    return made


@pytest.fixture
def promoted(world: Build) -> World:
    good = begun(world)
    assert good.to_the_end() is State.PROMOTED
    return good


@pytest.mark.parametrize(
    ("behaviour", "end"),
    [
        (Behaviour(), State.PROMOTED),
        (Behaviour(slower=1.5), State.ROLLED_BACK),
        (Behaviour(empty_rate=0.5), State.ROLLED_BACK),
        (Behaviour(dead=True), State.ROLLED_BACK),
    ],
    ids=["good", "slow", "empty-answers", "dead"],
)
def test_the_looks_of_a_rollout_come_out_as_they_were(world: Build, behaviour: Behaviour, end: State) -> None:
    one = begun(world, behaviour)
    assert one.to_the_end() is end
    verdict = replayed(one)
    assert verdict.outcome is Outcome.PASS, words(verdict)
    assert verdict.evidence[0].values["looks"] == len(one.looks) > 0


def test_so_do_blind_looks_a_restarted_worker_a_suspension_and_a_pause(world: Build) -> None:
    one = begun(world)
    one.run(until=State.ANALYSING)
    one.gateways[1].counting = False
    one.run(seconds=4)
    one.gateways[1].counting = True
    one.run(seconds=6)
    one.gateways[0].restart()
    one.run(seconds=4)
    one.gateways[0].reachable = False
    one.run(seconds=5)
    one.gateways[0].reachable = True
    one.kill = Kill(one.ticks + 5, saved=True, seconds=one.plan.lease_seconds + 5)
    one.run(until=State.SUSPENDED)
    one.run(until=State.ANALYSING)
    one.command(lambda so_far: pause(so_far, one.now, "somebody", "lunch"))
    one.run(seconds=6)
    one.command(lambda so_far: resume(so_far, one.now, "somebody", ""))
    assert one.to_the_end() is State.PROMOTED
    blind = [look.look.verdict.evidence[0].text for look in one.looks if look.look.decision is Decision.BLIND]
    assert {"w1 gave no counters: w1 cannot be reached", "w2 gave no counters: w2 gives no counters"} <= set(blind)
    assert any("restarted" in reason for reason in blind)
    verdict = replayed(one)
    assert verdict.outcome is Outcome.PASS, words(verdict)
    assert verdict.evidence[1].values["blind"] == len(blind)


def test_a_running_rollout_is_replayed_as_far_as_it_has_come(world: Build) -> None:
    one = begun(world)
    one.run(until=State.ANALYSING)
    one.run(seconds=8)
    assert replayed(one).outcome is Outcome.PASS


def test_a_look_that_came_after_the_record_was_read_disturbs_nothing(promoted: World) -> None:
    assert promoted.rollout is not None
    earlier = promoted.looks[-3]
    promoted.rollout = replace(promoted.rollout, looks=earlier.number, looks_digest=earlier.digest)
    assert replayed(promoted).outcome is Outcome.PASS


# --- What was meddled with is found -------------------------------------------------------------------------------


def with_told(look: RecordedLook, **changes: object) -> RecordedLook:
    assert look.told is not None
    return replace(look, told=replace(look.told, **changes))  # type: ignore[arg-type]


def more_bad(look: RecordedLook) -> RecordedLook:
    """Thirty more failed requests of the canary."""
    assert look.told is not None

    def worse(snapshot: CounterSnapshot) -> CounterSnapshot:
        cells = [
            msgspec.structs.replace(cell, bad={**cell.bad, BadEvent.FAILED: cell.bad.get(BadEvent.FAILED, 0) + 30})
            if cell.arm is Arm.CANARY
            else cell
            for cell in snapshot.cells
        ]
        return msgspec.structs.replace(snapshot, cells=tuple(cells))

    return with_told(look, snapshots=tuple(worse(one) for one in look.told.snapshots))


def test_a_sample_that_was_changed_is_found_with_what_comes_out_of_it(promoted: World) -> None:
    looks = list(promoted.looks)
    looks[9] = more_bad(looks[9])
    verdict = replayed(promoted, looks)
    assert verdict.outcome is Outcome.FAIL
    assert "look 10: the samples are not those that were recorded" in words(verdict)
    assert "was recorded as" in words(verdict)


def test_a_sample_that_was_changed_so_that_nothing_else_comes_out_is_found_too(promoted: World) -> None:
    looks = list(promoted.looks)
    assert looks[4].told is not None
    looks[4] = with_told(looks[4], at=looks[4].told.at + 1e-6)
    verdict = replayed(promoted, looks)
    assert verdict.outcome is Outcome.FAIL
    assert words(verdict) == "look 5: the samples are not those that were recorded: their digest differs"


def test_an_answer_that_was_changed_is_found_with_what_comes_out(promoted: World) -> None:
    looks = list(promoted.looks)
    held = next(i for i, look in enumerate(looks) if look.look.decision is Decision.HOLD)
    looks[held] = replace(looks[held], look=replace(looks[held].look, decision=Decision.ADVANCE))
    verdict = replayed(promoted, looks)
    assert verdict.outcome is Outcome.FAIL
    assert f"look {held + 1}: decision was recorded as 'advance' and comes out as 'hold'" in words(verdict)


def test_an_advance_that_no_look_bears_out_is_found(promoted: World) -> None:
    held = next(look for look in promoted.looks if look.look.decision is Decision.HOLD)
    at, entry = next((at, entry) for at, entry in promoted.journal if entry.event == "advance")
    forged = replace(entry, payload={**entry.payload, "look": held.number, "looks_digest": held.digest})
    promoted.journal.append((at, forged))
    verdict = replayed(promoted)
    assert verdict.outcome is Outcome.FAIL
    assert f"look {held.number} comes out as hold, and 'advance' was decided on it" in words(verdict)


def test_a_chain_written_anew_is_found_in_the_journal_and_in_the_record(promoted: World) -> None:
    looks = [replace(look, digest="0" * 64) for look in promoted.looks]
    found = words(replayed(promoted, looks))
    assert "the journal has another digest" in found
    assert "not the one in the rollout's record" in found


# --- What cannot be replayed is invalid ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (lambda looks: [], "are no longer kept"),
        (lambda looks: looks[3:], "looks 1 to 3 are no longer kept"),
        (lambda looks: looks[:3] + looks[5:], "between look 3 and look 6 some are missing"),
        (lambda looks: looks[:-2], "and the last that is there is number"),
        (lambda looks: [replace(looks[0], told=None), *looks[1:]], "do not say what the judge was told"),
    ],
    ids=["all-pruned", "the-first-pruned", "a-gap", "the-last-missing", "an-older-versions"],
)
def test_looks_that_are_missing_make_it_invalid(
    promoted: World, keep: Callable[[list[RecordedLook]], list[RecordedLook]], said: str
) -> None:
    verdict = replayed(promoted, keep(promoted.looks))
    assert verdict.outcome is Outcome.INVALID
    assert said in words(verdict)


def test_another_version_of_the_judge_makes_it_invalid(promoted: World) -> None:
    looks = [*promoted.looks[:-1], with_told(promoted.looks[-1], judge_version="0")]
    verdict = replayed(promoted, looks)
    assert verdict.outcome is Outcome.INVALID
    assert "judged by version 0" in words(verdict)


def test_a_rollout_without_looks_shows_nothing(world: Build) -> None:
    first = begun(world, stable=None)
    first.to_the_end()
    verdict = replayed(first)
    assert (verdict.outcome, words(verdict)) == (Outcome.INVALID, "there is nothing to replay: no look was taken")


# --- What the journal says of a decision --------------------------------------------------------------------------


def test_each_transition_says_what_was_promised_and_the_judges_name_their_look(promoted: World) -> None:
    assert promoted.rollout is not None
    plan = promoted.rollout.plan
    transitions = [entry for _, entry in promoted.journal if entry.kind == "transition"]
    for entry in transitions:
        assert entry.payload["digest"] == promoted.rollout.release.digest
        assert (entry.payload["spec"], entry.payload["judge"]) == (plan.spec_digest, plan.judge_version)
    decided = [entry for entry in transitions if entry.event in ("advance", "promote")]
    by_number = {look.number: look for look in promoted.looks}
    assert len(decided) == len(plan.steps)
    for entry in decided:
        look = by_number[entry.payload["look"]]  # type: ignore[index]
        assert (look.look.decision, look.digest) == (Decision.ADVANCE, entry.payload["looks_digest"])
    assert all("look" not in entry.payload for entry in transitions if entry.event in ("ready", "warmed", "settled"))


def test_what_a_person_did_names_no_look(world: Build) -> None:
    one = begun(world)
    one.run(until=State.ANALYSING)
    one.run(seconds=5)
    one.command(lambda so_far: promote(so_far, one.now, "somebody", "measured elsewhere"))
    by_hand = [entry for _, entry in one.journal if entry.actor == "somebody" and entry.kind == "transition"]
    assert [entry.event for entry in by_hand] == ["advance"]
    assert "look" not in by_hand[0].payload
