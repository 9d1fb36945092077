"""The load that suites put on the service, as parts of what ``targets`` promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ops.spec.base import ENTRIES_MAX, Count, Name, Part, Percent, Seconds, Text
from ops.spec.load_judging import Comparing, Sought, Validity

Share = Annotated[float, Field(ge=0, le=1000)]
"""Percent of a target; above 100 is more than was promised."""
Find = Literal["targets", "knee", "recovery", "drift", "efficiency", "goodput"]


class Lengths(Part):
    """Lognormal: half are below the median, two thirds within a factor of ``exp(sigma)`` of it."""

    median: Count
    sigma: Annotated[float, Field(ge=0, le=3)]


class Sessions(Part):
    """Requests that share the beginning of their prompt, as the turns of a conversation do."""

    percent: Annotated[float, Field(ge=0, le=100)]
    """Of requests."""
    requests: Count
    """Of one session, in the mean."""
    prefix_chars: Count
    """That a session's prompts share; on top of their own length."""


class Swing(Part):
    """A rate that goes up and down around the stage's own as a sine: a day, however short."""

    percent: Percent
    """Of the stage's rate, up and down."""
    seconds: Seconds
    """Of one whole period."""


class Bursts(Part):
    """Every so often a multiple of the stage's rate."""

    times: Annotated[float, Field(gt=1, le=100)]
    seconds: Seconds
    every_seconds: Seconds


class Stage(Part):
    name: Name
    seconds: Seconds
    from_percent: Share | None = None
    """Where the rate begins; by default where it ends."""
    percent: Share
    """Of ``targets.requests_per_second``, or of ``targets.users_concurrent`` where the suite's users are closed."""
    measured: bool = True
    """False for a warm-up: no target is judged on it."""
    replicas: Count | None = None
    """How many should serve it; set by whoever runs the suite (``ops load --replicas-command``)."""
    swing: Swing | None = None
    bursts: Bursts | None = None


class Suite(Part):
    description: Text
    find: Find = "targets"
    """What it looks for besides the targets. ``targets``: nothing; they must hold in every measured stage."""
    arrivals: Literal["poisson", "constant", "users"]
    """users: a closed loop, in which each user waits for the answer and then thinks."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=ENTRIES_MAX)]
    mix_percent: Annotated[Mapping[Name, Percent], Field(min_length=1, max_length=ENTRIES_MAX)] | None = None
    """Instead of the load's own; so with the next three."""
    stream_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    prompt_chars: Lengths | None = None
    output_tokens: Lengths | None = None


class Load(Part):
    mix_percent: Annotated[Mapping[Name, Percent], Field(min_length=1, max_length=ENTRIES_MAX)]
    """Of requests, by task of the API."""
    stream_percent: Annotated[float, Field(ge=0, le=100)]
    """Of the requests whose task can stream."""
    prompt_chars: Lengths
    output_tokens: Lengths
    """Asked for; at most the task's cap."""
    requests_distinct: Annotated[int, Field(ge=100, le=1_000_000)]
    """Made before the run and drawn from by chance."""
    sessions: Sessions
    think_seconds: Seconds
    """A closed user's pause, in the mean."""
    connections_per_user: Annotated[float, Field(gt=0, le=1)]
    suites: Annotated[Mapping[Name, Suite], Field(min_length=1, max_length=ENTRIES_MAX)]
    validity: Validity
    sought: Sought
    comparing: Comparing
