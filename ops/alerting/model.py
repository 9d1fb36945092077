"""What an alert is: its rule, the cases that prove it, its panel and its runbook, all in one value.

Whoever adds an alert writes one ``Alert`` in ``families``; rule file, rule test, runbook page and links are rendered
from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    CRITICAL = "critical"
    """Pages somebody."""
    WARNING = "warning"
    """Makes a ticket."""
    INFO = "info"
    """Is kept."""


@dataclass(frozen=True)
class Series:
    """An input of a rule test. ``values`` in promtool's notation: ``0+10x20``."""

    series: str
    values: str


@dataclass(frozen=True)
class Look:
    """What a recording has at a time."""

    minute: float
    samples: tuple[tuple[Mapping[str, str], float], ...]
    """Exactly these: labels, besides the name, and value."""


@dataclass(frozen=True)
class Example:
    """One rule test of a recording."""

    name: str
    inputs: tuple[Series, ...]
    looks: tuple[Look, ...]
    interval_seconds: int = 15
    """Between the values of ``inputs``."""
    evaluation_seconds: int | None = None
    """As that of a ``Case``."""


@dataclass(frozen=True)
class Recording:
    record: str
    expression: str
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Panel:
    """A panel of a dashboard, by its keys in ``ops.dashboarding``."""

    dashboard: str
    key: str


@dataclass(frozen=True)
class Step:
    """One thing to do in a runbook. ``commands`` run as they stand, in a shell, with the alert's labels as variables:
    ``$TIER``, ``$TASK_CLASS``, ``$INSTANCE``."""

    text: str
    commands: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    """Of a mitigation: the way back."""
    silent: str = ""
    """What it says where a query answers with nothing. Empty: then it has not been answered."""


@dataclass(frozen=True)
class Runbook:
    """A page that leads from the page to the cause. Paragraphs are Markdown."""

    meaning: str
    impact: str
    diagnosis: tuple[Step, ...]
    mitigation: tuple[Step, ...]
    verification: tuple[Step, ...]


@dataclass(frozen=True)
class Case:
    """One rule test: what is fed in, and when the alert fires.

    ``fires`` are minutes from the start at which exactly ``labels`` fire; at those of ``silent`` nothing does.
    """

    name: str
    inputs: tuple[Series, ...]
    fires: tuple[float, ...] = ()
    silent: tuple[float, ...] = ()
    labels: tuple[Mapping[str, str], ...] = ({},)
    """Of the alert's instances that fire, besides alertname and those that the rule sets."""
    interval_seconds: int = 15
    """Between the values of ``inputs``."""
    evaluation_seconds: int | None = None
    """Between two evaluations, where windows of days would make the spec's own interval a long test."""


@dataclass(frozen=True)
class Alert:
    name: str
    severity: Severity
    category: str
    """One of the spec's ``alerting.categories`` of this severity."""
    expression: str
    summary: str
    """One line, with templates of Prometheus: ``{{ $labels.tier }}``."""
    description: str
    panel: Panel
    runbook: Runbook
    cases: tuple[Case, ...]
    for_seconds: float = 0
    keep_firing_seconds: float = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Rules that Prometheus evaluates one after the other, at one time."""

    name: str
    interval_seconds: float
    recordings: tuple[Recording, ...] = ()
    alerts: tuple[Alert, ...] = ()

    @property
    def expressions(self) -> tuple[str, ...]:
        return (*(rule.expression for rule in self.recordings), *(rule.expression for rule in self.alerts))
