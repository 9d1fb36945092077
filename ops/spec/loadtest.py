"""The load that suites put on the service, as parts of what ``targets`` promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ops.spec.base import ENTRIES_MAX, Count, Name, Part, Percent, Seconds, Text

Share = Annotated[float, Field(ge=0, le=1000)]
"""Percent of a target; above 100 is more than was promised."""


class Lengths(Part):
    """Lognormal: half are below the median, two thirds within a factor of ``exp(sigma)`` of it."""

    median: Count
    sigma: Annotated[float, Field(ge=0, le=3)]


class Stage(Part):
    name: Name
    seconds: Seconds
    from_percent: Share | None = None
    """Where the rate begins; by default where it ends."""
    percent: Share
    """Of ``targets.requests_per_second``, or of ``targets.users_concurrent`` where the suite's users are closed."""
    measured: bool = True
    """False for a warm-up: no target is judged on it."""


class Suite(Part):
    description: Text
    arrivals: Literal["poisson", "constant", "users"]
    """users: a closed loop, in which each user waits for the answer and then thinks."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=ENTRIES_MAX)]
    prompt_chars: Lengths | None = None
    """Instead of the load's own."""
    output_tokens: Lengths | None = None


class Load(Part):
    mix_percent: Annotated[Mapping[Name, Percent], Field(min_length=1, max_length=ENTRIES_MAX)]
    """Of requests, by task of the API."""
    stream_percent: Annotated[float, Field(ge=0, le=100)]
    """Of the requests whose task can stream."""
    prompt_chars: Lengths
    output_tokens: Lengths
    """Asked for; at most the task's cap."""
    think_seconds: Seconds
    """A closed user's pause, in the mean."""
    connections_per_user: Annotated[float, Field(gt=0, le=1)]
    suites: Annotated[Mapping[Name, Suite], Field(min_length=1, max_length=ENTRIES_MAX)]
