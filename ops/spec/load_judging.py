"""When a load run can be believed, what is looked for in it, and when one run is worse than another."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ops.spec.base import Milliseconds, Part, Percent, Seconds


class Validity(Part):
    """Beyond any of these the figures are not the service's, and the run is invalid."""

    send_lag_p95_ms_max: Milliseconds
    """From the intended start of a request to its sending."""
    generator_cpu_percent_max: Percent
    """Of one core, by any generator's driver."""
    generator_cpu_seconds: Seconds
    """Over which that is averaged."""
    generator_silence_seconds_max: Seconds
    """A driver reports twice a second; longer silent, it was stopped or starved."""
    server_count_percent_max: Percent
    """By which the gateway's count of whole answers may differ from ours."""
    server_late_points_max: Percent
    """Points of percent by which the share over a target may differ between the gateway's histogram and ours."""


class Sought(Part):
    """What the suites look for besides the targets."""

    knee_times: Annotated[float, Field(gt=1, le=100)]
    """The knee is where p95 exceeds so many times that of the lowest rate."""
    window_seconds: Seconds
    """In which the targets hold again after a spike, or which is one point of a drift."""
    recovery_seconds_max: Seconds
    """After a spike beyond the promised rate, until the targets hold again."""
    drift_percent_max: Percent
    """By which latency, memory or connections may rise over an endurance run."""
    efficiency_percent_min: Percent
    """Requests in time per replica, of those at the fewest replicas."""


class Comparing(Part):
    """By how much a run may be worse than another before it is called so."""

    late_points: Percent
    """Points of percent, of the share that misses a target."""
    latency_percent: Percent
    """Of a percentile."""
    error_points: Percent
    """Points of percent, of the share that fails."""
