"""How a release goes out, and by which evidence it is judged.

The values of ``Role`` and ``Then`` are those of the enums in ``ops.rollout.plan``; a test keeps them equal. They
are written out here so that the spec, on which everything stands, imports nothing of what stands on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ops.spec.base import Count, Part, Percent, Seconds
from serving.contract import BadEvent

Role = Literal["critical", "watched", "off"]
Then = Literal["pause", "rollback"]
Event = Annotated[BadEvent, Field(strict=False)]
"""Lax only in that the file writes the value, not the enum's member."""
ErrorRate = Annotated[float, Field(gt=0, lt=0.5)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Odds = Annotated[float, Field(ge=1, le=1000)]


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
    margin_odds: Odds
    """A canary whose odds of the event are up to this much higher is no worse."""
    harm_odds: Odds
    """Promotion needs evidence that the odds are less than this much higher, or that of ``tolerated_rate``."""
    tolerated_rate: Rate | None = None
    """Promotion is also allowed where the canary's rate of the event is shown to be below this."""
    budget_rate: Rate | None = None
    """The canary is rolled back if its rate alone is shown to exceed this."""


class Analysis(Part):
    """Both error rates are for a whole rollout, at any number of looks."""

    false_rollback_rate_max: ErrorRate
    false_promotion_rate_max: ErrorRate
    slow_quantile: Rate
    """A request is slow past this quantile of stable's recent latency in its class and stratum."""
    slow_history_requests_min: Count
    """With less history the class's target is the threshold."""
    load_per_replica_ratio_max: Odds
    """Beyond it the arms' latencies cannot be compared."""
    requests_per_step_min: Count
    """Of the canary."""
    samples_age_seconds_max: Seconds
    """Older counters make a look blind."""
    events: Mapping[Event, EventRule]


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
