"""What is known of a tier and of a rollout: frozen records that the store keeps and the core decides on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ops.judge.model import JudgeState
from ops.rollout.plan import RolloutPlan
from ops.rollout.replicas import ReplicaSpec
from ops.rollout.states import Event, State, next_state
from ops.verdict import Verdict
from serving.contract import CounterSnapshot, Levels, RoutingTable


@dataclass(frozen=True)
class ArtefactFile:
    path: str
    """Relative to the model's folder."""
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Release:
    """A model artefact by digest, the engine that runs it, its arguments, and the version of the prompts."""

    name: str
    tier: str
    engine: str
    engine_version: str
    model_path: str
    arguments: tuple[str, ...]
    template_version: str
    digest: str
    """SHA-256 over all that could change an answer: files, engine and its version, arguments, template version."""
    files: tuple[ArtefactFile, ...]
    created_at: float
    created_by: str


@dataclass(frozen=True)
class Fleet:
    """A release with the replicas that run it."""

    release: Release
    replicas: tuple[ReplicaSpec, ...]


@dataclass(frozen=True)
class Retained:
    """A fleet that no longer serves but must keep running until ``until`` (Unix seconds)."""

    fleet: Fleet
    until: float


@dataclass(frozen=True)
class Clock:
    """What instants were read from: only those of one boot can be told apart from a jump of the wall clock."""

    boot: str
    """Of the machine; another after each start of it."""
    ahead_seconds: float
    """How far the wall clock (Unix seconds) stood ahead of the one that counts since the boot and never jumps."""


@dataclass(frozen=True)
class TierRecord:
    """Which release is stable, and the routing table in force. The database's word is the truth."""

    tier: str
    stable: Fleet | None = None
    retained: Retained | None = None
    """The former stable, at full capacity until its rollback window has passed."""
    epoch: int = 0
    """The highest epoch issued."""
    table: RoutingTable | None = None
    """What every worker should hold."""
    clock: Clock | None = None
    """By which the instants of this record, and of the active rollout's, were written."""


class Strategy(StrEnum):
    CANARY = "canary"
    DIRECT = "direct"
    """Straight to stable: the first release of a tier, or a return to an earlier one."""


@dataclass(frozen=True)
class ReplicaQuality:
    """What the last probe of a replica's model has shown."""

    at: float
    damage: Verdict
    likelihood: Verdict


@dataclass(frozen=True)
class Rollout:
    id: str
    tier: str
    release: Release
    strategy: Strategy
    plan: RolloutPlan
    created_at: float
    created_by: str
    state: State = State.PREPARING
    state_since: float = 0.0
    reason: str = ""
    """Why it is in its state, in words."""
    step: int = 0
    """Index into the plan's steps: the one being prepared or judged."""
    served_step: int | None = None
    """The step whose weights are in force; None while the canary has no weight."""
    reused: bool = False
    """Its replicas run already, warm: a return to a fleet that was retained."""
    promote_requested: bool = False
    """Somebody decided for it: on to the last step and promoted once warm, unless evidence rolls it back first."""
    step_since: float = 0.0
    """When the served step's weights came into force."""
    canary: tuple[ReplicaSpec, ...] = ()
    baseline: tuple[ReplicaSpec, ...] = ()
    baseline_release: Release | None = None
    """The stable release when the rollout started: what its baseline runs. None for a direct rollout."""
    generation: int = 0
    """Raised at each resumption after a suspension: new replicas, warmed anew."""
    levels: dict[str, dict[str, Levels]] = field(default_factory=dict)
    """Empty until the canary first serves; then those of the epoch in force."""
    calibration: tuple[CounterSnapshot, ...] | None = None
    """What was measured when the step began, from which its own is told; None once a worker has forgotten it."""
    calibrated_requests: int = 0
    """How many of the step's answers its levels were cut from."""
    judge: JudgeState = field(default_factory=JudgeState)
    looks: int = 0
    looks_digest: str = ""
    """Over what the judge was told at all of them (``ops.rollout.recorded``)."""
    looked_at: float = 0.0
    blind_since: float | None = None
    transcripts_at: float | None = None
    """When the reference transcripts that it is judged by were there; None while they are awaited."""
    quality: dict[str, ReplicaQuality] = field(default_factory=dict)
    """By replica of the canary."""
    needs_resume: bool = False
    """Suspended by hand, or when somebody had paused it: only somebody can resume it."""

    def moved(self, event: Event, now: float, reason: str) -> Rollout:
        """Raises IllegalTransition."""
        return replace(self, state=next_state(self.state, event), state_since=now, reason=reason)

    @property
    def last_step(self) -> int:
        return len(self.plan.steps) - 1

    @property
    def serves(self) -> bool:
        """Whether the canary has weight in the table that should be in force."""
        return self.served_step is not None


def replicas_wanted(tier: TierRecord, rollout: Rollout | None) -> Iterator[ReplicaSpec]:
    """Every replica that should run for the tier; one that serves in two roles comes twice."""
    if tier.stable:
        yield from tier.stable.replicas
    if tier.retained:
        yield from tier.retained.fleet.replicas
    if rollout:
        yield from rollout.canary
        yield from rollout.baseline
