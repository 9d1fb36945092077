"""What a peer answers at the end of a rollout."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    PAUSED = "paused"


@dataclass(frozen=True)
class Answer:
    verdict: Verdict
    seconds: float
    """Since the rollout began."""
    blamed: tuple[str, ...] = ()
    """``latency``, ``errors`` or ``metrics``, where it rolled back."""
