"""The life of a rollout as a table: states, events and the only transitions there are.

The diagram in docs/rollout.md is drawn from this table by ``make gen``.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    PREPARING = "preparing"
    """Its artefact is checked and its replicas start; the step before, if any, still serves."""
    WARMING = "warming"
    """Its new replicas answer warm-up requests that count nowhere."""
    ANALYSING = "analysing"
    """It serves its step's share and is judged."""
    PAUSED = "paused"
    """As analysing, but it does not advance; it can still be rolled back by evidence."""
    SUSPENDED = "suspended"
    """The workers went back to stable by themselves or by hand; nothing is served by the canary."""
    PROMOTING = "promoting"
    """It is the stable release now; the workers are being told."""
    ROLLING_BACK = "rolling_back"
    """New requests go to stable; running streams finish."""
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"
    """It never served: its artefact did not match what was registered."""


class Event(StrEnum):
    READY = "ready"
    WARMED = "warmed"
    ADVANCE = "advance"
    """On to the next step: its replicas are prepared while this one goes on."""
    PROMOTE = "promote"
    """The last step has passed, or somebody decided so."""
    ROLL_BACK = "roll_back"
    PAUSE = "pause"
    RESUME = "resume"
    SUSPEND = "suspend"
    REFUSE = "refuse"
    SETTLED = "settled"
    """The workers hold the final table and what had to drain has drained."""


class IllegalTransition(Exception):
    """That event means nothing in that state. Nothing was changed."""

    def __init__(self, state: State, event: Event):
        allowed = ", ".join(e.value for s, e in TRANSITIONS if s is state) or "nothing: it has ended"
        super().__init__(f"a rollout that is {state.value} cannot {event.value}; possible: {allowed}")


_LIVE = (State.PREPARING, State.WARMING, State.ANALYSING, State.PAUSED)

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PREPARING, Event.READY): State.WARMING,
    (State.PREPARING, Event.REFUSE): State.REFUSED,
    (State.WARMING, Event.WARMED): State.ANALYSING,
    # A direct rollout (the first release of a tier, a return to an earlier one) has nothing to be compared with.
    (State.WARMING, Event.PROMOTE): State.PROMOTING,
    (State.ANALYSING, Event.ADVANCE): State.PREPARING,
    (State.ANALYSING, Event.PROMOTE): State.PROMOTING,
    (State.ANALYSING, Event.PAUSE): State.PAUSED,
    (State.PAUSED, Event.RESUME): State.ANALYSING,
    # By hand, on to the last step: its replicas are prepared first, so that stable never lacks capacity.
    (State.PAUSED, Event.ADVANCE): State.PREPARING,
    # What is being prepared is given up for now; the step in force goes on.
    (State.PREPARING, Event.PAUSE): State.PAUSED,
    (State.WARMING, Event.PAUSE): State.PAUSED,
    (State.PAUSED, Event.PROMOTE): State.PROMOTING,
    **{(state, Event.ROLL_BACK): State.ROLLING_BACK for state in (*_LIVE, State.SUSPENDED)},
    **{(state, Event.SUSPEND): State.SUSPENDED for state in _LIVE},
    (State.SUSPENDED, Event.RESUME): State.PREPARING,
    (State.PROMOTING, Event.SETTLED): State.PROMOTED,
    (State.ROLLING_BACK, Event.SETTLED): State.ROLLED_BACK,
}

ENDED = frozenset({State.PROMOTED, State.ROLLED_BACK, State.REFUSED})
JUDGED = frozenset({State.PREPARING, State.WARMING, State.ANALYSING, State.PAUSED})
"""States in which a canary that has weight is looked at."""


def next_state(state: State, event: Event) -> State:
    """Raises IllegalTransition if the pair is not in the table."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None
