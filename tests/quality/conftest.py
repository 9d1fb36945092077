"""Transcripts and readings made of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from ops.quality.model import Noise, Reading, Scored, Transcript
from ops.rollout.plan import DamagePlan, Role

MakeScored = Callable[..., tuple[Scored, ...]]


def scored(logprobs: Sequence[Sequence[float]], text: str = "x" * 100) -> tuple[Scored, ...]:
    return tuple(
        Scored(f"text-{i}", text, tuple(range(len(values))), tuple(values)) for i, values in enumerate(logprobs)
    )


def transcript(
    answers: tuple[Scored, ...] = (), passages: tuple[Scored, ...] = (), version: str = "1", texts: str = "t"
) -> Transcript:
    still = Noise(0.0, 0.0)
    return Transcript("release", "digest", "simulated", version, "concerts", texts, 0.0, answers, passages, still)


@pytest.fixture
def make_scored() -> MakeScored:
    return scored


@pytest.fixture
def make_transcript() -> Callable[..., Transcript]:
    return transcript


@pytest.fixture
def make_reading() -> Callable[..., Reading]:
    def reading(
        answers: tuple[Scored, ...] = (), passages: tuple[Scored, ...] = (), version: str = "1"
    ) -> Reading:
        return Reading(version, answers, passages)

    return reading


@pytest.fixture
def damage_plan() -> DamagePlan:
    return DamagePlan(Role.CRITICAL, 0.5, 0.05, noise_factor=4, token_tolerance_nats_max=1.0)
