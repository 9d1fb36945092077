"""What the controller needs of whatever runs engines: a local supervisor, or Deployments on a cluster.

Declarative on purpose: the controller says what should run, again and again, so that a controller that died
between a decision and its act needs no memory of how far it got.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ReplicaSpec:
    """One engine that should run. Equal name means equal everything: a changed replica gets a new name."""

    name: str
    """Unique and stable: letters, digits and dashes."""
    tier: str
    model_name: str
    """The name under which the engine serves."""
    engine: str
    """``simulated`` or ``vllm``."""
    model_path: str
    arguments: tuple[str, ...] = ()
    """Appended to the engine's command line."""


@dataclass(frozen=True)
class ReplicaStatus:
    name: str
    url: str
    """Base URL, known as soon as the replica is declared."""
    ready: bool
    """Its ``/health`` answers 200."""
    exhausted: bool = False
    """It keeps dying, and the supervisor has given up on it."""
    detail: str = ""


class ReplicasError(Exception):
    """The system that runs replicas could not be reached, or refused. Worth another try."""


class Replicas(Protocol):
    async def apply(self, tier: str, desired: Collection[ReplicaSpec]) -> None:
        """Starts what is missing of the tier and stops what is not desired. Idempotent. Raises ReplicasError."""

    async def observe(self, tier: str) -> tuple[ReplicaStatus, ...]:
        """The replicas declared for the tier. Raises ReplicasError."""
