"""What is fixed of a release's model when it is registered: how likely it finds fixed texts.

Log-probabilities are natural logarithms (nats). Nothing here ever goes to logs or messages but names and numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class FixedText:
    """A prompt to answer, or a passage to read."""

    name: str
    text: str


@dataclass(frozen=True)
class Texts:
    """The fixed texts of one file."""

    name: str
    digest: str
    """SHA-256 (hex) of the file."""
    prompts: tuple[FixedText, ...]
    passages: tuple[FixedText, ...]


@dataclass(frozen=True)
class Scored:
    """A text with the log-probability of each of its tokens but the first, which nothing predicts."""

    name: str
    text: str
    tokens: tuple[int, ...]
    """Ids, the first token's left out like its log-probability."""
    logprobs: tuple[float, ...]

    @property
    def per_char(self) -> float:
        """Nats per character of the text: comparable between models whose tokenizers differ."""
        return sum(self.logprobs) / max(len(self.text), 1)


@dataclass(frozen=True)
class Noise:
    """By how much the engine differed from itself when it read the same texts again, several at once (nats)."""

    worst_nats: float
    mean_nats: float


@dataclass(frozen=True)
class Transcript:
    """What a release said, and how likely it found that and the passages, when it was registered."""

    release: str
    release_digest: str
    engine: str
    engine_version: str
    """As the running engine gave it."""
    texts: str
    texts_digest: str
    recorded_at: float
    answers: tuple[Scored, ...]
    """Each prompt together with the greedy answer to it."""
    passages: tuple[Scored, ...]
    noise: Noise


class TranscriptState(StrEnum):
    PENDING = "pending"
    """It is to be recorded."""
    RECORDED = "recorded"
    FAILED = "failed"
    """It could not be recorded; the reason is there."""
    OFF = "off"
    """The spec judges nothing by it."""


@dataclass(frozen=True)
class TranscriptStatus:
    """Where the recording of a release's transcript stands."""

    release: str
    state: TranscriptState
    reason: str = ""
    attempts: int = 0
    texts_digest: str = ""
    recorded_at: float | None = None


@dataclass(frozen=True)
class Reading:
    """What a running replica said of the texts of two transcripts."""

    engine_version: str
    answers: tuple[Scored, ...]
    passages: tuple[Scored, ...]
