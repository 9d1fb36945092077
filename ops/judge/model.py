"""What the judge is told, remembers and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ops.judge.counting import Counts
from ops.judge.evidence import Profile
from ops.rollout.plan import Role
from ops.verdict import Verdict
from serving.contract import Arm, BadEvent, CounterSnapshot


class Decision(StrEnum):
    ROLL_BACK = "roll_back"
    ADVANCE = "advance"
    HOLD = "hold"
    BLIND = "blind"


@dataclass(frozen=True)
class Shares:
    """Requests assigned in this epoch to canary and reference, in one cell; all, and those that were streamed.
    And how many of the reference's went wrong, which tells the rate from which margins of odds are taken."""

    canary: int = 0
    reference: int = 0
    canary_streamed: int = 0
    reference_streamed: int = 0
    reference_bad: Mapping[BadEvent, int] = field(default_factory=dict)


@dataclass(frozen=True)
class JudgeState:
    """All that the judge remembers between looks."""

    epoch: int = -1
    step: int = -1
    bases: Mapping[str, CounterSnapshot] = field(default_factory=dict)
    shares: Mapping[str, Shares] = field(default_factory=dict)
    whole: Mapping[BadEvent, Profile] = field(default_factory=dict)
    """Against "no worse", since the rollout began."""
    recent: Mapping[BadEvent, Profile] = field(default_factory=dict)
    """Against "harmful", since the step began."""
    canary_whole: Counts = field(default_factory=Counts)
    canary_step: Counts = field(default_factory=Counts)
    reference_step: Counts = field(default_factory=Counts)


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


@dataclass(frozen=True)
class EventEvidence:
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
    observable: bool
    """False if no request of the step could have shown the event (nothing was streamed, say)."""


@dataclass(frozen=True)
class Look:
    decision: Decision
    verdict: Verdict
    events: tuple[EventEvidence, ...]
    canary_assigned: int
    reference_assigned: int
