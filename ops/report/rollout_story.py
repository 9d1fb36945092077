"""What a report tells of one rollout, and the series that its pictures show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ops.loadtest.samples import Sample
from ops.rollout.record import Rollout
from ops.store.rollouts import JournalLine, LookLine
from serving.contract import Arm, BadEvent

_BUCKET_SECONDS_MIN = 1.0
_BUCKETS = 60
_REQUESTS_PER_POINT_MIN = 5


@dataclass(frozen=True)
class RolloutStory:
    rollout: Rollout
    """As it ended."""
    journal: tuple[JournalLine, ...]
    looks: tuple[LookLine, ...]
    samples: tuple[Sample, ...]
    """What its users saw from its start to its end."""
    ended_at: float

    @property
    def started_at(self) -> float:
        return self.rollout.created_at

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at

    @property
    def last_look(self) -> LookLine | None:
        return self.looks[-1] if self.looks else None

    def served_by_release(self) -> tuple[int, int]:
        """Requests that the release answered, and how many of them failed in a user's eyes."""
        served = [sample for sample in self.samples if sample.release == self.rollout.release.name]
        return len(served), sum(not sample.ok for sample in served)

    def bad_served(self) -> dict[str, int]:
        """Bad events of the canary by kind, as the judge's last look counted them over the whole rollout.

        Of graded events those on the last level: past the highest cut.
        """
        canary = self.rollout.judge.canary_whole
        found = dict(canary.bad)
        found |= {event: levels[-1] for event, levels in canary.levels.items() if event is not BadEvent.OUTPUT_LENGTH}
        return {event.value: count for event, count in found.items() if count}


@dataclass(frozen=True)
class Series:
    """Points over seconds since the rollout's start."""

    name: str
    seconds: tuple[float, ...]
    values: tuple[float, ...]


def weights(story: RolloutStory) -> list[Series]:
    """Share of new requests by arm, in percent, from the tables that were issued."""
    changes = [
        (line.at - story.started_at, line.entry.payload.get("weights", {}))
        for line in story.journal
        if line.entry.kind == "routes"
    ]
    times = [0.0, *(at for at, _ in changes), story.seconds]
    series = []
    for arm in Arm:
        shares = [float(held.get(arm.value, 0)) / 100 if isinstance(held, dict) else 0.0 for _, held in changes]
        start = 100.0 if arm is Arm.STABLE else 0.0
        points = [start, *shares, shares[-1] if shares else start]
        series.append(Series(arm.value, tuple(times), tuple(points)))
    return series


def latency_quantiles(story: RolloutStory, fraction: float) -> list[Series]:
    """Seconds to the whole answer by arm, a quantile per slice of time; thin slices are left out."""
    width = max(_BUCKET_SECONDS_MIN, story.seconds / _BUCKETS)
    found = []
    for arm in Arm:
        slices: dict[int, list[float]] = {}
        for sample in story.samples:
            if sample.arm == arm.value and sample.ok:
                slices.setdefault(int((sample.at - story.started_at) / width), []).append(sample.latency)
        points = [
            ((index + 0.5) * width, _quantile(values, fraction))
            for index, values in sorted(slices.items())
            if index >= 0 and len(values) >= _REQUESTS_PER_POINT_MIN
        ]
        if points:
            found.append(Series(arm.value, tuple(x for x, _ in points), tuple(y for _, y in points)))
    return found


def _quantile(values: Sequence[float], fraction: float) -> float:
    return sorted(values)[min(int(fraction * len(values)), len(values) - 1)]


def evidence(story: RolloutStory, *, against: bool) -> Iterator[tuple[Series, float]]:
    """E-values over time by critical event, each with what would decide."""
    by_event: dict[BadEvent, list[tuple[float, float]]] = {}
    needed: dict[BadEvent, float] = {}
    for line in story.looks:
        for event in line.look.events:
            if event.role.value != "critical":
                continue
            value = event.e_worse if against else event.e_harmless
            by_event.setdefault(event.event, []).append((line.at - story.started_at, value))
            needed[event.event] = event.e_worse_needed if against else event.e_harmless_needed
    for name, points in by_event.items():
        yield Series(name.value, tuple(x for x, _ in points), tuple(y for _, y in points)), needed[name]
