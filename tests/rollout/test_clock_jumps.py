"""The wall clock jumps in every phase of a rollout, by NTP or by hand: it comes to the same end in the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from structlog.testing import capture_logs

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import BEGIN, World, release
from ops.rollout.clocks import read_clocks
from ops.rollout.commanding import pause, resume
from ops.rollout.decided import Decided
from ops.rollout.plan import RolloutPlan
from ops.rollout.record import Clock, TierRecord
from ops.rollout.states import State
from ops.rollout.timing import on_clock

Build = Callable[..., World]
BAD = Behaviour(failed_rate=0.3)
SECOND, NTP_STEP, HOUR, DAY = 1.0, 7.0, 3600.0, 86_400.0
JUMPS = [sign * seconds for seconds in (SECOND, NTP_STEP, HOUR, DAY) for sign in (1, -1)]
QUIET = 1.0
"""Requests a second while nothing is judged: a tick is then cheap."""
LATER_SECONDS_MAX = 15.0
"""Of a rollout's end: looks that were blind while the counters seemed to be of the future."""
PHASES: list[tuple[str, Callable[[World], object]]] = [
    ("preparing", lambda w: w.state is State.PREPARING),
    ("warming", lambda w: w.state is State.WARMING),
    ("serving-the-first-step", lambda w: w.state is State.ANALYSING),
    ("preparing-the-second", lambda w: w.state is State.PREPARING and w.rollout and w.rollout.served_step == 0),
    ("warming-the-second", lambda w: w.state is State.WARMING and w.rollout and w.rollout.served_step == 0),
    ("serving-the-second", lambda w: w.state is State.ANALYSING and w.rollout and w.rollout.served_step == 1),
    ("serving-the-last", lambda w: w.state is State.ANALYSING and w.rollout and w.rollout.served_step == 2),
    ("promoting", lambda w: w.state is State.PROMOTING),
]
OF_A_GOOD_ONE = pytest.mark.parametrize("phase", [pytest.param(when, id=name) for name, when in PHASES])
FAR = pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["ahead", "back"])
JUMPED = pytest.mark.parametrize("seconds", JUMPS, ids=lambda s: f"{s:+.0f}s")


def begun(build: Build, behaviour: Behaviour | None = None, **arguments: object) -> World:
    made = build(behaviours={"next": behaviour or Behaviour()}, **arguments)
    made.begin(release("next"))
    return made


@pytest.fixture(scope="module")
def undisturbed(plan: RolloutPlan) -> Iterator[World]:
    """The same rollout by a clock that never jumps."""
    with capture_logs():
        made = begun(lambda **arguments: World(plan, **arguments))
        made.to_the_end()
        yield made
    made.close()


def transitions(world: World) -> list[tuple[str, str]]:
    return [(entry.event, entry.to_state) for _, entry in world.journal if entry.event]


def held_back(world: World) -> bool:
    assert world.rollout is not None
    return world.active is None or world.state is State.PAUSED


@FAR
@OF_A_GOOD_ONE
def test_in_whatever_phase_the_clock_jumps_a_good_release_is_promoted_in_the_same_time(
    world: Build, undisturbed: World, phase: Callable[[World], object], seconds: float
) -> None:
    jumped = begun(world)
    jumped.run(until=partial(phase, jumped))
    jumped.put_clocks(seconds)
    assert jumped.to_the_end() is State.PROMOTED, jumped.story()
    assert transitions(jumped) == transitions(undisturbed)
    assert -LATER_SECONDS_MAX <= jumped.now - undisturbed.now <= LATER_SECONDS_MAX, jumped.story()
    jumped.run(seconds=5)  # stable keeps its capacity: the world sees to that at each tick


@JUMPED
def test_a_release_that_turns_bad_when_the_clock_jumps_is_rolled_back_within_a_few_looks(
    world: Build, seconds: float
) -> None:
    turning = begun(world)
    turning.run(until=lambda: turning.rollout and turning.rollout.served_step == 1)
    turning.put_clocks(seconds)
    turning.behaviours = {"next": BAD}
    turned = turning.now
    turning.run(until=State.ROLLING_BACK)
    assert turning.now - turned <= LATER_SECONDS_MAX, turning.story()


@JUMPED
def test_no_step_is_shorter_for_a_clock_that_jumps(world: Build, seconds: float) -> None:
    jumped = begun(world)
    jumped.run(until=State.ANALYSING)
    serves = jumped.now
    jumped.put_clocks(seconds)
    jumped.run(until=lambda: jumped.rollout and jumped.rollout.step == 1)
    assert jumped.now - serves >= jumped.plan.pace.step_seconds_min, jumped.story()


def test_a_clock_that_jumps_to_and_fro_all_the_time_changes_no_decision(world: Build, undisturbed: World) -> None:
    jumping = begun(world)
    for number in range(2000):
        if jumping.active is None:
            break
        if number % 20 == 0:
            jumping.put_clocks(HOUR if number % 40 else -HOUR)
        jumping.tick()
    assert transitions(jumping) == transitions(undisturbed), jumping.story()


@FAR
@pytest.mark.parametrize("phase", [pytest.param(when, id=name) for name, when in PHASES if "serving" in name])
def test_where_only_the_controllers_clock_jumps_it_is_blind_and_pauses(
    world: Build, phase: Callable[[World], object], seconds: float
) -> None:
    apart = begun(world)
    apart.run(until=partial(phase, apart))
    apart.put_clocks(seconds, workers=False)
    apart.run(until=partial(held_back, apart))
    assert apart.state in (State.PAUSED, State.PROMOTED), apart.story()
    if apart.state is State.PAUSED:
        assert "clock" in apart.story() or "old" in apart.story()
        apart.put_clocks(-seconds, workers=False)
        apart.command(lambda so_far: resume(so_far, apart.wall, "somebody", "the clock is right again"))
        assert apart.to_the_end() is State.PROMOTED, apart.story()


@FAR
def test_a_command_just_after_the_jump_is_timed_as_the_ticks_are(world: Build, seconds: float) -> None:
    paused = begun(world)
    paused.run(until=State.ANALYSING)
    paused.command(lambda so_far: pause(so_far, paused.wall, "somebody", "to look closer"))
    paused.run(seconds=5)
    paused.put_clocks(seconds)
    paused.command(lambda so_far: resume(so_far, paused.wall, "somebody", "seen enough"))
    assert paused.rollout is not None
    assert paused.rollout.step_since == paused.wall
    assert paused.to_the_end() is State.PROMOTED


@FAR
@pytest.mark.parametrize("bad", [False, True], ids=["good", "bad"])
def test_a_controller_on_a_machine_with_another_clock_goes_on_where_the_first_stopped(
    world: Build, seconds: float, bad: bool
) -> None:
    moved = begun(world)
    moved.run(until=lambda: moved.rollout and moved.rollout.served_step == 1)
    moved.boot = "another machine's"
    moved.put_clocks(seconds)
    moved.behaviours = {"next": BAD} if bad else {}
    assert moved.to_the_end() is (State.ROLLED_BACK if bad else State.PROMOTED), moved.story()


@JUMPED
def test_the_former_stable_is_kept_for_its_window_whatever_the_clock_says(world: Build, seconds: float) -> None:
    good = begun(world)
    good.run(until=State.PROMOTED)
    promoted = next(at for at, entry in good.journal if entry.event == "promote")
    good.put_clocks(seconds)
    good.requests_per_second = QUIET
    good.run(until=lambda: good.tier.retained is None)
    assert abs(good.now - promoted - good.plan.pace.rollback_window_seconds) <= 3


def test_the_journal_says_that_the_clock_was_put_and_by_how_much(world: Build) -> None:
    jumped = begun(world)
    jumped.run(until=State.ANALYSING)
    jumped.put_clocks(-HOUR)
    jumped.tick()
    (line,) = [entry for _, entry in jumped.journal if entry.kind == "clock"]
    assert line.reason.startswith("the clock was put back by 3600 s")
    assert line.payload == {"seconds": -HOUR}


def test_a_clock_that_is_slewed_writes_nothing() -> None:
    tier = TierRecord("production", clock=Clock("boot", 10.0))
    assert on_clock(Decided(tier, None), BEGIN, Clock("boot", 10.4)) == Decided(tier, None)


def test_the_machines_clocks_compare_from_one_reading_to_the_next() -> None:
    (before, first), (after, second) = read_clocks(), read_clocks()
    assert after >= before
    assert first.boot == second.boot != ""
    assert abs(first.ahead_seconds - second.ahead_seconds) < 0.1
