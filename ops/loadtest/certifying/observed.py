"""What was seen while an alert was put to the proof: recorded as it came, judged afterwards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.verdict import Evidence

if TYPE_CHECKING:
    from ops.loadtest.certifying.breaches import Breach


@dataclass(frozen=True)
class Counted:
    """Requests that are over, whatever came of them."""

    requests: int = 0
    failed: int = 0
    """Without a good answer."""
    late: int = 0
    """With one, after the p95 target of their class."""

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.requests + other.requests, self.failed + other.failed, self.late + other.late)

    def __sub__(self, other: Counted) -> Counted:
        return Counted(self.requests - other.requests, self.failed - other.failed, self.late - other.late)


ByClass = Mapping[str, Counted]


def between(later: ByClass, earlier: ByClass) -> dict[str, Counted]:
    """What ended in between, of counts since the start."""
    return {name: count - earlier.get(name, Counted()) for name, count in later.items()}


@dataclass(frozen=True)
class Held:
    """An alert as Alertmanager has it."""

    name: str
    severity: str
    runbook_url: str
    silent_by: str = ""
    """``silenced``, or the names of the alerts that inhibit it; empty if it is told."""


@dataclass(frozen=True)
class Look:
    """One look at everything. ``at`` in seconds since the trial began, by a clock that never jumps."""

    at: float
    requests: ByClass
    """Since the trial began."""
    fires: frozenset[str] = frozenset()
    """Names of the alerts that fire in Prometheus."""
    held: tuple[Held, ...] = ()
    blind: str = ""
    """Why one of both could not be asked; then the former are empty."""

    def of(self, alert: str) -> tuple[Held, ...]:
        return tuple(one for one in self.held if one.name == alert)

    def told(self, alert: str) -> Held | None:
        """As Alertmanager tells it; None if it has none, or keeps it silent."""
        return next((one for one in self.of(alert) if not one.silent_by), None)


@dataclass(frozen=True)
class Bounds:
    fire_seconds: float
    """From the breach on."""
    resolve_seconds: float
    """From its end on."""
    blind_seconds: float
    """So long Prometheus or Alertmanager may be away."""
    share: float
    """Of bad requests, 0 to 1, that the alert's rule asks for."""


@dataclass(frozen=True)
class Observed:
    """A trial, from its first look to its last. Times like those of looks; None where it did not come to it."""

    breach: Breach
    bounds: Bounds
    began_unix_seconds: float
    looks: tuple[Look, ...]
    """At least one."""
    injected: float | None = None
    taken_back: float | None = None
    despite: tuple[str, ...] = ()
    """Names of warnings that fired before the breach, and were let pass."""
    hindered: tuple[Evidence, ...] = ()
    """Why the trial ended before the breach."""
    generator: tuple[Evidence, ...] = ()
    """Causes that make what the client saw worthless."""
    page: str | None = None
    """Of the runbook to which the alert's link leads; None if there is none, or no link."""
    interrupted: str = ""
    stuck: str = ""
    """Why the breach could not be taken back."""

    def look_at(self, at: float) -> Look:
        """The last one until then."""
        return [self.looks[0], *(look for look in self.looks if look.at <= at)][-1]

    def since(self, at: float) -> Iterable[Look]:
        return (look for look in self.looks if look.at >= at)
