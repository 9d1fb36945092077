"""Where the service runs: replicas, hardware, regions, the rules of autoscaling, and the pace of a rollout there."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ops.spec.base import ENTRIES_MAX, Amount, Count, Label, Milliseconds, Name, Part, Percent, Seconds, Text


class Replicas(Part):
    min: Annotated[int, Field(ge=1, le=10_000)]
    max: Annotated[int, Field(ge=1, le=10_000)]


class Gpu(Part):
    model: Text
    count: Count
    memory_gb: Amount
    """Of all of them together."""


class Storage(Part):
    size_tb: Amount
    medium: Name


class Region(Part):
    name: Name
    role: Literal["primary", "secondary", "regional"]


class Autoscaling(Part):
    """Above any of these, replicas are added."""

    cpu_percent: Percent
    memory_percent: Percent
    request_latency_ms: Milliseconds
    queue_depth: Count


class Pace(Part):
    """How fast a rollout may go."""

    look_seconds: Seconds
    """Between two looks of the judge."""
    step_seconds_min: Seconds
    step_seconds_max: Seconds
    bake_seconds: Seconds
    """How long the release alone serves before it is called stable."""
    rollback_window_seconds: Seconds
    """How long the former stable keeps its full capacity after a promotion."""


class Environment(Part):
    replicas: Replicas
    instance: Label
    gpu: Gpu
    memory_gb: Amount
    storage: Storage | None = None
    network_gbps: Amount | None = None
    regions: Annotated[tuple[Region, ...], Field(max_length=ENTRIES_MAX)] = ()
    autoscaling: Autoscaling | None = None
    purpose: Annotated[tuple[Text, ...], Field(min_length=1, max_length=ENTRIES_MAX)]
    pace: Pace
