"""What the judge is told, remembers and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, cast

import msgspec

from ops.judge.counts import Counts
from ops.judge.keeping import RECORDS, Compared, Kept, restored
from ops.judge.ledger import Sides
from ops.judge.rules import Rules
from ops.rollout.plan import Role
from ops.verdict import Verdict
from serving.contract import Arm, BadEvent, CounterSnapshot, Levels


class Decision(StrEnum):
    ROLL_BACK = "roll_back"
    ADVANCE = "advance"
    HOLD = "hold"
    BLIND = "blind"


@dataclass(frozen=True)
class JudgeState:
    """All that the judge remembers between looks, as it is kept on record.

    A look leaves it as arrays, and a field becomes a record when it is asked for: a state that goes on to the next look
    was never one.
    """

    epoch: int = -1
    step: int = -1
    bases: Mapping[str, CounterSnapshot] = field(default_factory=dict)
    compared: Mapping[str, Compared] = field(default_factory=dict)
    """By cell."""
    whole: Mapping[BadEvent, Mapping[str, Sides]] = field(default_factory=dict)
    """Against "no worse", since the rollout began: of all cells (the empty name), and of each length of prompt."""
    recent: Mapping[BadEvent, Sides] = field(default_factory=dict)
    """Against "harmful", since the step began."""
    absolute: Mapping[BadEvent, tuple[float, ...]] = field(default_factory=dict)
    """Against "within the budget", since the rollout began: log-likelihood ratios."""
    canary_whole: Counts = field(default_factory=Counts)
    canary_step: Counts = field(default_factory=Counts)
    reference_step: Counts = field(default_factory=Counts)
    reference_whole: Counts = field(default_factory=Counts)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:  # asked only for what is not there yet
            if name not in RECORDS or "_kept" not in self.__dict__:
                raise AttributeError(name)
            return self.__dict__.setdefault(name, RECORDS[name](self.__dict__["_kept"]))


def remembering(kept: Kept, *, epoch: int, step: int, bases: Mapping[str, CounterSnapshot]) -> JudgeState:
    """The state whose records are those of ``kept``."""
    state = object.__new__(JudgeState)
    state.__dict__.update(epoch=epoch, step=step, bases=bases, _kept=kept)
    return state


def kept_by(state: JudgeState, rules: Rules, levels: int) -> Kept:
    """The state's arrays: those that the last look left, or made of the record that was read."""
    if (kept := state.__dict__.get("_kept")) is not None:
        return cast(Kept, kept)
    totals = (state.canary_whole, state.canary_step, state.reference_step, state.reference_whole)
    return restored(state.compared, state.whole, state.recent, state.absolute, totals, rules, levels)


@dataclass(frozen=True)
class Situation:
    """What the judge must know of the rollout at a look."""

    step: int
    epoch: int
    reference: Arm | None
    """Whom the canary is compared with; None when it serves alone."""
    canary_replicas: int
    reference_replicas: int
    seconds_in_step: float
    step_seconds_min: float
    levels: Mapping[str, Mapping[str, Levels]] = field(default_factory=dict)
    """Where the epoch's table cuts graded events, by class and stratum."""

    def levels_of(self, cell: str) -> Levels:
        """Empty if the table has none."""
        task_class, _, stratum = cell.partition("/")
        return self.levels.get(task_class, {}).get(stratum, {})


class EventEvidence(msgspec.Struct, frozen=True, gc=False):
    event: BadEvent
    role: Role
    canary: int
    total: int
    expected: float
    e_worse: float
    e_worse_needed: float
    e_harmless: float
    e_harmless_needed: float
    canary_rate: float
    """Of the canary's requests at this step that could show it. Of a graded event: those past the cut."""
    observable: bool
    """False if no request of the step could have shown the event (nothing was streamed, say)."""
    past_quantile: float | None = None
    """Of a graded event: the cut at which the counts are told, the one that tells most; None of a yes/no event."""
    group: str = ""
    """Where it stands out: the prompts' length (``p1``), or empty for all requests. The counts are of these."""


@dataclass(frozen=True)
class Look:
    decision: Decision
    verdict: Verdict
    events: tuple[EventEvidence, ...]
    canary_assigned: int
    reference_assigned: int
    e_together: float = 1.0
    """Against the canary, all critical events together: the sum of their e-values, to be held against the same need."""
