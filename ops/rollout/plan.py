"""What a rollout was promised to be judged by: frozen when it starts, whatever happens to the spec meanwhile.

Derived from the spec by ``ops.rollout.planning``; stored with the rollout. Times are seconds, weights are basis
points, odds and rates are plain ratios.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from serving.contract import BadEvent

JUDGE_VERSION = "3"
"""Raised whenever the same counters could lead to another decision."""


class Role(StrEnum):
    CRITICAL = "critical"
    WATCHED = "watched"
    OFF = "off"


@dataclass(frozen=True)
class MarginSource:
    """Why a margin is not the spec's: how much replicas of one release were seen to differ."""

    spec_margin: float
    noise_sigma: float
    """Of the logarithm, of one replica."""
    noise_sigma_high: float
    """The upper end of its 90 % interval, from which the margin follows."""
    noise_seconds: float
    """After this a replica's mood has forgotten 63 %."""
    blocks: int
    rollouts: int
    capped: bool
    """The noise asks for more than harm allows: good releases will be rolled back more often than promised."""


@dataclass(frozen=True)
class EventPlan:
    event: BadEvent
    role: Role
    margin: float
    """A canary that has the event with up to this many times the reference's odds is no worse. Of graded events: whose
    values (seconds, tokens) are up to this many times the reference's."""
    harm: float
    """Promotion needs evidence that it is less than this many times, or ..."""
    tolerated_rate: float | None = None
    """... that the canary's rate of the event is below this."""
    budget_rate: float | None = None
    """The canary is rolled back if its rate alone is shown to exceed this."""
    margin_source: MarginSource | None = None
    """None: the spec's."""


@dataclass(frozen=True)
class Demand:
    """A bad release that must be caught."""

    slower: float = 1.0
    """Times as slow as the reference."""
    failed_from: float = 0.0
    """The rate at which all arms fail, and ..."""
    failed_to: float = 0.0
    """... that of the canary; 0 for both: as the traffic does."""
    canary_requests_max: int | None = None
    """Within which; None: before the rollout ends or pauses."""


@dataclass(frozen=True)
class DetectionPlan:
    power: float = 0.9
    demands: tuple[Demand, ...] = ()
    traffic_seconds_min: float = 0.0


@dataclass(frozen=True)
class CalibrationPlan:
    block_seconds: float
    blocks_min: int
    rollouts_max: int
    harm_part_max: float


@dataclass(frozen=True)
class AnalysisPlan:
    false_rollback_rate_max: float
    false_promotion_rate_max: float
    level_quantiles: tuple[float, ...]
    """Where the levels of graded events are cut: rising, within (0, 1)."""
    level_history_min: int
    """With fewer answers a wider group decides on the cuts."""
    load_per_replica_ratio_max: float
    requests_per_step_min: int
    samples_age_seconds_max: float
    prompt_groups: int
    """How many lengths of prompts the strata tell apart."""
    events: tuple[EventPlan, ...]
    detection: DetectionPlan = DetectionPlan()
    calibration: CalibrationPlan | None = None

    @property
    def critical(self) -> tuple[EventPlan, ...]:
        return tuple(event for event in self.events if event.role is Role.CRITICAL)


@dataclass(frozen=True)
class DamagePlan:
    """Is the canary's model what was registered? In nats of log-probability."""

    role: Role
    token_tolerance_nats: float
    mean_tolerance_nats: float
    noise_factor: float
    """Where the engine's own noise, times this, is more than a tolerance, that holds instead."""
    token_tolerance_nats_max: float
    """An engine that would need more for a single token cannot be held to anything."""


@dataclass(frozen=True)
class LikelihoodPlan:
    """Is it as good a model as stable's? Compared by log-likelihood per character."""

    role: Role
    margin_share: float
    """Of stable's own log-likelihood per character."""
    stable_nats_per_char_max: float
    """A stable that finds the passages less likely than this does not read them: they say nothing of any model."""
    confidence: float
    passages_min: int


@dataclass(frozen=True)
class QualityPlan:
    texts: str
    """Name of the file of fixed texts."""
    answer_tokens: int
    record_seconds_max: float
    """How long a rollout waits for its release's transcript."""
    probe_every_seconds: float
    """How often a replica that serves is probed again."""
    probe_seconds_max: float
    damage: DamagePlan
    likelihood: LikelihoodPlan

    @property
    def wanted(self) -> bool:
        """Whether anything is probed at all."""
        return {self.damage.role, self.likelihood.role} != {Role.OFF}


@dataclass(frozen=True)
class Step:
    weight: int
    """The canary's share of new requests, in basis points."""
    baseline: bool
    """Whether a fresh replica set of the stable release runs beside it with the same share."""


class Then(StrEnum):
    PAUSE = "pause"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Pace:
    look_seconds: float
    step_seconds_min: float
    step_seconds_max: float
    bake_seconds: float
    """How long the release alone serves before it is called stable."""
    rollback_window_seconds: float
    """How long the former stable keeps its full capacity after a promotion."""


@dataclass(frozen=True)
class Warmup:
    requests_per_replica: int
    concurrency: int
    seconds_max: float


@dataclass(frozen=True)
class RolloutPlan:
    spec_digest: str
    judge_version: str
    environment: str
    model_name: str
    stable_replicas: int
    """How many replicas carry the whole tier."""
    steps: tuple[Step, ...]
    pace: Pace
    analysis: AnalysisPlan
    warmup: Warmup
    lease_seconds: float
    prepare_seconds_max: float
    drain_seconds_max: float
    blind_seconds_max: float
    blind_then: Then
    inconclusive_then: Then
    affinity: str
    latency_targets: dict[str, float]
    """Seconds by task class: the threshold where stable has too little history."""
    strata: tuple[str, ...]
    """Labels of all strata, as ``serving.contract.StrataConfig`` describes."""
    quality: QualityPlan | None = None
    """None only for a rollout that began before models were probed."""
