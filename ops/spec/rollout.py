"""How a release goes out, and by which evidence it is judged.

The values of ``Role`` and ``Then`` are those of the enums in ``ops.rollout.plan``; a test keeps them equal. They
are written out here so that the spec, on which everything stands, imports nothing of what stands on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ops.spec.base import Count, Name, Part, Percent, Seconds
from serving.contract import BadEvent

Role = Literal["critical", "watched", "off"]
Then = Literal["pause", "rollback"]
Event = Annotated[BadEvent, Field(strict=False)]
"""Lax only in that the file writes the value, not the enum's member."""
ErrorRate = Annotated[float, Field(gt=0, lt=0.5)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Nats = Annotated[float, Field(gt=0, le=100)]
Ratio = Annotated[float, Field(ge=1, le=1000)]


class Canary(Part):
    steps_percent: Annotated[tuple[Percent, ...], Field(min_length=1, max_length=20)]
    """The canary's share of new requests at each step: rising, the last is 100."""
    baseline_up_to_percent: Annotated[float, Field(ge=0, le=50)]
    """At steps up to this, a fresh replica of the stable release serves the same share beside the canary."""


class BlueGreen(Part):
    validation_seconds: Seconds


class Rolling(Part):
    surge_percent: Annotated[float, Field(ge=0, le=100)]
    unavailable_percent: Annotated[float, Field(ge=0, le=100)]
    drain_seconds: Seconds


class Strategies(Part):
    canary: Canary
    blue_green: BlueGreen
    rolling: Rolling


class Warmup(Part):
    requests_per_replica: Annotated[int, Field(ge=0, le=100_000)]
    concurrency: Annotated[int, Field(ge=1, le=1000)]
    seconds_max: Seconds


class Blind(Part):
    seconds_max: Seconds
    """How long the judge may see nothing."""
    then: Then


class Inconclusive(Part):
    then: Then


class EventRule(Part):
    """How a kind of bad event is judged."""

    role: Role
    """critical decides, watched is shown, off is not counted."""
    margin: Ratio
    """A canary is no worse if its odds of the event are up to this many times the reference's; of graded events (slow,
    slow_first_token, slow_tokens, output_length): if its seconds or tokens are."""
    harm: Ratio
    """Promotion needs evidence that it is less than this many times, or that of ``tolerated_rate``."""
    tolerated_rate: Rate | None = None
    """Promotion is also allowed where the canary's rate of the event is shown to be below this."""
    budget_rate: Rate | None = None
    """The canary is rolled back if its rate alone is shown to exceed this."""
    budget_burn: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Instead of ``budget_rate``: so many times the error rate that ``targets`` allow."""

    def budget(self, error_rate_percent_max: float) -> float | None:
        """The rate above which the canary is rolled back whatever the reference does, 0 to 1; None if there is none."""
        return self.budget_rate if self.budget_burn is None else self.budget_burn * error_rate_percent_max / 100


class SlowerRelease(Part):
    times: Annotated[float, Field(gt=1, le=100)]
    """How many times as slow as stable."""
    canary_requests_max: Count | None = None
    """Within which it must be rolled back; if none is given, before the rollout ends or pauses."""


class FailingRelease(Part):
    from_percent: Annotated[float, Field(gt=0, lt=50)]
    """Of requests that fail on every arm."""
    to_percent: Annotated[float, Field(gt=0, le=100)]
    """Of those that fail on the canary."""
    canary_requests_max: Count | None = None


class Detection(Part):
    """What a plan must be able to see at the traffic that there is."""

    power: Annotated[float, Field(ge=0.5, lt=1)]
    """The part of such releases that must be rolled back."""
    slower: Annotated[tuple[SlowerRelease, ...], Field(max_length=10)]
    errors: Annotated[tuple[FailingRelease, ...], Field(max_length=10)]
    traffic_seconds_min: Seconds
    """Traffic measured for a shorter time tells nothing."""


class Calibration(Part):
    """How the margins of graded events follow from how much replicas of one release differ."""

    block_seconds: Seconds
    """The stretch of time in which two arms are compared."""
    blocks_min: Count
    """With fewer, the events' own margins hold."""
    rollouts_max: Annotated[int, Field(ge=1, le=1000)]
    """The newest of the tier that are read."""
    harm_part_max: Annotated[float, Field(gt=0, lt=1)]
    """A calibrated margin goes at most this part of the way from 1 to harm, as logarithms."""


class Analysis(Part):
    """Both error rates are for a whole rollout, at any number of looks."""

    false_rollback_rate_max: ErrorRate
    false_promotion_rate_max: ErrorRate
    level_quantiles: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=8)]
    """Latencies, token intervals and answer lengths are compared on levels, cut at these quantiles of their class and
    stratum: rising."""
    level_history_min: Count
    """With fewer answers the class decides on the cuts; without any, its target."""
    load_per_replica_ratio_max: Ratio
    """Beyond it the arms' latencies cannot be compared."""
    requests_per_step_min: Count
    """Of the canary."""
    samples_age_seconds_max: Seconds
    """Older counters make a look blind."""
    detection: Detection
    calibration: Calibration
    events: Mapping[Event, EventRule]


class Damage(Part):
    """The running canary scores its own release's reference transcript, recorded when the release was registered."""

    role: Role
    """critical decides, watched is shown, off is not probed."""
    token_tolerance_nats: Nats
    """No token's log-probability may differ by more than this from what was recorded."""
    mean_tolerance_nats: Nats
    """Nor all of them by more than this on the average."""
    noise_factor: Annotated[float, Field(ge=1, le=100)]
    """An engine that, when the transcript was recorded, differed from itself by more than a tolerance divided by this
    is held to this many times its own noise instead."""
    token_tolerance_nats_max: Nats
    """A release whose engine would need more for a single token gets no transcript."""


class Likelihood(Part):
    """The canary and stable score held-out passages: is the new model as good a one?"""

    role: Role
    margin_share: Rate
    """A canary whose log-likelihood per character is lower than stable's by up to this share of it is no worse."""
    stable_nats_per_char_max: Nats
    """Where stable itself finds the passages less likely than this, they are not of its domain and say nothing."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """Of the one-sided bound on the mean difference, for rollback and for advancing alike."""
    passages_min: Annotated[int, Field(ge=8, le=1000)]
    """With fewer passages to compare the answer is inconclusive."""


class Quality(Part):
    """What no counter shows: answers that are complete, valid and wrong."""

    texts: Name
    """The file of prompts and held-out passages: quality/NAME.json beside the spec, else the product's own."""
    answer_tokens: Annotated[int, Field(ge=1, le=1000)]
    """Length of the greedy answers of a reference transcript."""
    record_seconds_max: Seconds
    """How long a rollout waits for its release's transcript."""
    probe_every_seconds: Seconds
    """How often a canary replica that serves is probed again."""
    probe_seconds_max: Seconds
    damage: Damage
    likelihood: Likelihood


class Rollout(Part):
    default_strategy: Literal["canary", "blue_green", "rolling"]
    strategies: Strategies
    lease_seconds: Seconds
    """A gateway worker that nobody renews for this long returns to stable by itself."""
    prepare_seconds_max: Seconds
    warmup: Warmup
    drain_seconds_max: Seconds
    affinity: Literal["request", "session"]
    blind: Blind
    inconclusive: Inconclusive
    analysis: Analysis
    quality: Quality
