"""What the judge was told at a look, and what it answered: enough to take the look again. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from ops.judge.model import Look, Situation
from serving.contract import CounterSnapshot


@dataclass(frozen=True)
class Told:
    """All that the judge was told at a look, beside the frozen plan and what it remembered of the looks before."""

    at: float
    """The clock, Unix seconds."""
    tier: str
    situation: Situation
    workers: tuple[str, ...]
    """Those that had to be seen."""
    elsewhere: tuple[str, ...]
    """Those that answered and did not follow the table in force."""
    unreachable: Mapping[str, str]
    """Those that did not answer, with the reason."""
    snapshots: tuple[CounterSnapshot, ...]
    """The tier's raw counters, as the workers gave them."""
    judge_version: str
    """Of the code that looked; the plan's is what was promised when the rollout began."""
    uncounted: Mapping[str, str] = field(default_factory=dict)
    """Those that answered, and why their counters are lacking or old."""


def chained(previous: str, told: Told) -> str:
    """SHA-256 (hex) over what was told and the digest of the look before; empty for the first."""
    encoded = msgspec.json.encode(told, order="deterministic")
    return hashlib.sha256(previous.encode() + b"\n" + encoded).hexdigest()


@dataclass(frozen=True)
class RecordedLook:
    rollout: str
    number: int
    """Of the rollout's looks, from 1."""
    at: float
    step: int
    look: Look
    """The answer that was kept."""
    told: Told | None
    """None for a look from before these were kept."""
    digest: str
    """``chained`` over this look and all before it."""
