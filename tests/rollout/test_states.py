"""The transition table: every pair of it, and every pair that is not in it."""

from __future__ import annotations

from itertools import product

import pytest

from benchmarks.rollout_world import TIER, release
from ops.rollout.plan import RolloutPlan
from ops.rollout.record import Rollout, Strategy
from ops.rollout.states import ENDED, TRANSITIONS, Event, IllegalTransition, State, next_state

PAIRS = list(product(State, Event))


@pytest.mark.parametrize(("state", "event"), [pair for pair in PAIRS if pair not in TRANSITIONS])
def test_an_illegal_pair_raises_and_changes_nothing(plan: RolloutPlan, state: State, event: Event) -> None:
    rollout = Rollout("r1", TIER, release("next"), Strategy.CANARY, plan, 0.0, "somebody", state=state)
    with pytest.raises(IllegalTransition) as refused:
        rollout.moved(event, 1.0, "for no reason")
    assert rollout.state is state
    assert state.value in str(refused.value)
    for possible in (e for s, e in TRANSITIONS if s is state):
        assert possible.value in str(refused.value)


@pytest.mark.parametrize(("state", "event"), list(TRANSITIONS))
def test_a_legal_pair_moves_and_remembers_when_and_why(plan: RolloutPlan, state: State, event: Event) -> None:
    rollout = Rollout("r1", TIER, release("next"), Strategy.CANARY, plan, 0.0, "somebody", state=state)
    moved = rollout.moved(event, 7.0, "because")
    assert (moved.state, moved.state_since, moved.reason) == (next_state(state, event), 7.0, "because")


def test_what_has_ended_goes_nowhere() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] in ENDED]


def test_every_state_is_reached_and_every_other_can_end() -> None:
    reached, before = {State.PREPARING}, set[State]()
    while reached != before:
        before = set(reached)
        reached |= {after for (state, _), after in TRANSITIONS.items() if state in reached}
    assert reached == set(State)
    ends, before = set(ENDED), set()
    while ends != before:
        before = set(ends)
        ends |= {state for (state, _), after in TRANSITIONS.items() if after in ends}
    assert ends == set(State)


@pytest.mark.parametrize("state", sorted(set(State) - ENDED - {State.PROMOTING, State.ROLLING_BACK}))
def test_there_is_a_way_back_from_everything_that_is_not_decided_yet(state: State) -> None:
    assert next_state(state, Event.ROLL_BACK) is State.ROLLING_BACK
