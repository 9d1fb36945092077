"""A load run as one JSON document, from which every report is made and two runs are compared. ``gratefulgpt.load/1``.

Times in seconds, unless a name says otherwise. Within version 1 fields are only added. It holds no prompts and no
answers: the plan's requests are left out.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ops.loadtest.plan import Kind, Phase, Rate
from ops.loadtest.recording import Measure, Recorded
from ops.verdict import Outcome

SCHEMA = "gratefulgpt.load/1"
PERCENTS = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)


class Unreadable(Exception):
    """The file is no report of a load run; the message says why."""


class Finding(msgspec.Struct, frozen=True):
    text: str
    values: dict[str, float | int | str] = {}


class Answer(msgspec.Struct, frozen=True):
    outcome: Outcome
    evidence: tuple[Finding, ...]


class TargetJudged(msgspec.Struct, frozen=True):
    phase: str
    task_class: str
    """``all`` for the rate of errors."""
    target: str
    seconds: float | None
    requests: int
    misses: int
    allowed_share: float
    outcome: Outcome
    text: str


class PhaseReport(msgspec.Struct, frozen=True):
    number: int
    name: str
    seconds: float
    counts: bool
    """Whether the run's verdict depends on it."""
    outcome: Outcome
    invalid: tuple[str, ...]
    targets: tuple[TargetJudged, ...]


class Figures(msgspec.Struct, frozen=True):
    """What was seen of one class in one phase."""

    phase: str
    task_class: str
    requests: int
    answered: int
    late: int
    """Answered, but over the latency target."""
    failed: dict[str, int]
    requests_per_second: float
    in_time_per_second: float
    tokens_per_second: float
    """Of streams."""
    percentiles: dict[Measure, dict[str, float | None]]
    """By percent, of all requests; None where it falls on one that failed."""


class Moment(msgspec.Struct, frozen=True):
    """What came in of one class within ``seconds`` after ``at``."""

    at: int
    seconds: int
    task_class: str
    answered: int
    late: int
    failed: int
    tokens: int
    percentiles: dict[Measure, dict[str, float | None]]
    latencies: str
    """Their histogram, as in ``cells``; empty where nothing was answered."""


class Pulse(msgspec.Struct, frozen=True):
    """What a generator said of itself, over some reports: the highest."""

    at: float
    cpu_share: float
    memory_bytes: int
    in_flight: int
    waiting: int
    connections: int


class GeneratorReport(msgspec.Struct, frozen=True):
    name: str
    ended: bool
    error: str
    pulses: tuple[Pulse, ...]


class ServerSeen(msgspec.Struct, frozen=True):
    """The gateway's own histogram: not cumulative, one more count for what lies above the last bound."""

    measure: Measure
    task_class: str
    bounds_seconds: tuple[float, ...]
    counts: tuple[int, ...]


class ServerPulse(msgspec.Struct, frozen=True):
    at: float
    name: str
    memory_bytes: int
    open_files: int


class ServerReport(msgspec.Struct, frozen=True):
    blind: str
    """Why there is nothing; empty where there is."""
    histograms: tuple[ServerSeen, ...]
    pulses: tuple[ServerPulse, ...]


class FoundReport(msgspec.Struct, frozen=True):
    name: str
    value: float | None
    promised: bool
    """Whether the verdict depends on it."""
    outcome: Outcome
    text: str


class CellReport(msgspec.Struct, frozen=True):
    """All that was recorded of one kind in one phase, histograms in HdrHistogram's V2 encoding (microseconds)."""

    phase: int
    kind: int
    counts: dict[str, int]
    histograms: dict[Measure, str]

    def recorded(self) -> Recorded:
        return Recorded(self.counts, {measure: text.encode() for measure, text in self.histograms.items()})


class Document(msgspec.Struct, frozen=True):
    schema: str
    service: str
    spec_digest: str
    suite: str
    scale: float
    verdict: Answer
    started_unix_seconds: float
    ended_unix_seconds: float
    interrupted: str
    lost: tuple[str, ...]
    arrivals: str
    """constant, poisson, or users for closed ones."""
    rates: tuple[Rate, ...]
    """Offered over time; empty for closed users."""
    phases: tuple[Phase, ...]
    kinds: tuple[Kind, ...]
    judged: tuple[PhaseReport, ...]
    invalid: tuple[str, ...]
    found: tuple[FoundReport, ...]
    figures: tuple[Figures, ...]
    moments: tuple[Moment, ...]
    generators: tuple[GeneratorReport, ...]
    server: ServerReport
    cells: tuple[CellReport, ...]

    def recorded(self) -> dict[tuple[int, int], Recorded]:
        return {(cell.phase, cell.kind): cell.recorded() for cell in self.cells}


def read_document(path: Path) -> Document:
    """Raises Unreadable."""
    try:
        data = path.read_bytes()
        schema = msgspec.json.decode(data, type=_Named).schema
        if schema != SCHEMA:
            raise Unreadable(f"{path} is of the schema {schema}, not {SCHEMA}")
        return msgspec.json.decode(data, type=Document)
    except OSError as e:
        raise Unreadable(f"{path} cannot be read: {e.strerror}") from e
    except msgspec.MsgspecError as e:
        raise Unreadable(f"{path} is no report of a load run (report.json): {e}") from e


class _Named(msgspec.Struct):
    schema: str


def document_bytes(document: Document) -> bytes:
    return msgspec.json.encode(document) + b"\n"
