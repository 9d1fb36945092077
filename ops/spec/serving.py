"""What is served and how it is measured: tiers, task classes, the API and its limits, targets, histogram bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from ops.spec.base import (
    BOUNDS_MAX,
    ENTRIES_MAX,
    Amount,
    Count,
    Label,
    Milliseconds,
    Name,
    Part,
    Percent,
    Seconds,
    Text,
)
from serving.contract import TaskKind

Kind = Annotated[TaskKind, Field(strict=False)]
"""Lax only in that the file writes the value, not the enum's member."""
UrlPath = Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._~-]+)+$", max_length=200)]
Bounds = Annotated[tuple[Count, ...], Field(max_length=4)]
"""Rising. Each further bound multiplies the strata that evidence is spread over."""
MillisecondBounds = Annotated[tuple[Milliseconds, ...], Field(min_length=1, max_length=BOUNDS_MAX)]


class Tier(Part):
    """A size of model."""

    model: Label
    """The name under which clients ask for the tier and engines serve it."""
    parameters_billions: Amount | None
    """Null: models of any size."""
    context_tokens_max: Count
    access: Annotated[tuple[Name, ...], Field(min_length=1, max_length=ENTRIES_MAX)]
    """The plans whose customers may use the tier."""
    description: Text


class TaskClass(Part):
    """Tasks that share a latency target. It holds for the whole answer, hence the cap on the answer's length."""

    latency_p95_ms: Milliseconds
    """95 % of answers are complete within this; one of ``measuring.latency_bounds_ms``."""
    first_token_p95_ms: Milliseconds
    """95 % of streams show their first content within this; one of ``measuring.first_token_bounds_ms``."""
    token_interval_p95_ms: Milliseconds
    """95 % of streams have, in the mean, at most this between tokens; one of ``measuring.token_interval_bounds_ms``."""
    timeout_seconds: Seconds
    """After this the gateway gives up: the request has failed."""
    output_tokens_max: Count
    description: Text


class Task(Part):
    """An endpoint of the API."""

    path: UrlPath
    kind: Kind
    task_class: Name = Field(alias="class")
    """One of ``task_classes``."""
    tier: Name
    """The tier that serves the task when the request names no model."""
    output_tokens_max: Count | None = None
    """A cap below that of the class."""


class Limits(Part):
    """Every bound of one gateway worker."""

    body_bytes_max: Count
    body_read_timeout_seconds: Seconds
    prompt_chars_max: Count
    in_flight_max: Count
    queue_max: Count
    queue_timeout_seconds: Seconds
    connect_timeout_seconds: Seconds
    attempts_max: Annotated[int, Field(ge=1, le=10)]
    """Tries of one request before its first byte."""
    drain_timeout_seconds: Seconds
    epochs_kept_max: Annotated[int, Field(ge=2, le=1000)]
    """Epochs whose counters a worker keeps: the one in force and the one before, at least."""


class Api(Part):
    tasks: Annotated[Mapping[Name, Task], Field(min_length=1, max_length=ENTRIES_MAX)]
    limits: Limits


class Targets(Part):
    """What users are promised, beside the latencies of the task classes."""

    availability_percent: Annotated[float, Field(gt=0, lt=100)]
    error_rate_percent_max: Percent
    users_concurrent: Count
    requests_per_second: Amount
    tokens_per_second: Amount
    recovery_seconds_max: Seconds
    window_days: Annotated[int, Field(ge=1, le=366)]
    """The window over which the objectives hold."""


class Strata(Part):
    """Bounds that sort requests before their outcome is known."""

    prompt_chars: Bounds
    output_tokens: Bounds


class Measuring(Part):
    latency_bounds_ms: MillisecondBounds
    """Upper bounds of the latency histograms, rising; every class's target is one of them; so with the two below."""
    first_token_bounds_ms: MillisecondBounds
    token_interval_bounds_ms: MillisecondBounds
    """Mean time between a stream's tokens."""
    strata: Strata
