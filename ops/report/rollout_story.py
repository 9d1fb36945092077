"""What a report tells of one rollout, and the series that its pictures show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan

from ops.loadtest.samples import Sample
from ops.report.traffic import BlindSpan, Counted, Slice, blind_spans, counted, slices, worth_showing
from ops.rollout.decided import CONTROLLER
from ops.rollout.record import Rollout
from ops.rollout.recorded import RecordedLook
from ops.rollout.states import ENDED
from ops.store.rollouts import JournalLine, LookLine
from serving.contract import Arm, BadEvent

_BUCKET_SECONDS_MIN = 1.0
_BUCKETS = 60
_REQUESTS_PER_POINT_MIN = 5
_CHANGES = {
    "pause": "paused",
    "resume": "resumed",
    "suspend": "suspended",
    "promote": "promoted",
    "roll_back": "rolled back",
    "refuse": "refused",
}
_NEAR = 0.02
_LONG_SLICES = 4
_GAP_LOOKS = 4
"""Without looks for longer than so many usually take, a line is broken: nothing is known of the time between."""


@dataclass(frozen=True)
class RolloutStory:
    rollout: Rollout
    """As it ended."""
    journal: tuple[JournalLine, ...]
    looks: tuple[LookLine, ...]
    samples: tuple[Sample, ...]
    """What its users saw from its start to its end; empty where nobody recorded it."""
    ended_at: float
    recorded: tuple[RecordedLook, ...] = ()
    """The looks with what they were taken of; empty where only their answers are at hand."""

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

    @cached_property
    def traffic(self) -> list[Counted]:
        return counted(self.recorded)

    @cached_property
    def blind(self) -> list[BlindSpan]:
        return blind_spans(self.recorded)


def story_of(rollout: Rollout, journal: Sequence[JournalLine], recorded: Sequence[RecordedLook]) -> RolloutStory:
    """Of a rollout that ended, or as far as it has come."""
    looks = tuple(LookLine(one.rollout, one.number, one.at, one.step, one.look) for one in recorded)
    ends = [rollout.state_since, *(line.at for line in journal), *(line.at for line in looks)]
    ended_at = rollout.state_since if rollout.state in ENDED else max(ends)
    return RolloutStory(rollout, tuple(journal), looks, (), ended_at, tuple(recorded))


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
    """E-values over time by critical event, each with what would decide. Events that went alike share a line, and a
    line is broken (by a NaN) where it begins anew or nothing was looked at."""
    by_event: dict[BadEvent, list[tuple[float, float]]] = {}
    needed: dict[BadEvent, float] = {}
    gap_seconds = _GAP_LOOKS * max(story.rollout.plan.pace.look_seconds, 1.0)
    before: LookLine | None = None
    for line in story.looks:
        anew = before is not None and not against and line.step != before.step
        broken = anew or (before is not None and line.at - before.at > gap_seconds)
        for event in line.look.events:
            if event.role.value != "critical":
                continue
            points = by_event.setdefault(event.event, [])
            if broken and before is not None:
                points.append((before.at - story.started_at, nan))
            points.append((line.at - story.started_at, event.e_worse if against else event.e_harmless))
            needed[event.event] = event.e_worse_needed if against else event.e_harmless_needed
        before = line
    alike: dict[str, list[BadEvent]] = {}
    for name, points in by_event.items():
        alike.setdefault(repr((points, needed[name])), []).append(name)
    for names in alike.values():
        points = by_event[names[0]]
        label = ", ".join(name.value.replace("_", " ") for name in names)
        yield Series(label, tuple(x for x, _ in points), tuple(y for _, y in points)), needed[names[0]]


def request_rates(story: RolloutStory) -> list[Series]:
    """Requests a second by arm."""
    return _by_arm(story, lambda one: one.requests / one.seconds, everything=True)


def bad_shares(story: RolloutStory) -> list[Series]:
    """Critical bad events per hundred requests by arm; thin slices are left out."""
    return _by_arm(story, lambda one: 100 * one.bad / one.requests, everything=False)


def _by_arm(story: RolloutStory, value: Callable[[Slice], float], *, everything: bool) -> list[Series]:
    critical = {event.event for event in story.rollout.plan.analysis.critical}
    found = []
    for arm in Arm:
        taken = list(slices(story.traffic, arm, critical))
        if not any(one.requests for one in taken):
            continue
        shortest = min(one.seconds for one in taken)
        points: list[tuple[float, float]] = []
        for one in taken:
            at = one.at - story.started_at
            if one.seconds > _LONG_SLICES * shortest:
                points.append((at, nan))  # nobody looked for a while: an average over it would show nothing
            elif everything or worth_showing(one):
                points.append((at, value(one)))
        found.append(Series(arm.value, tuple(x for x, _ in points), tuple(y for _, y in points)))
    return found


@dataclass(frozen=True)
class Change:
    """What stopped the rollout or set it going again, for the charts."""

    seconds: float
    words: str


def changes(story: RolloutStory) -> list[Change]:
    """Without the steps from replicas that start to replicas that serve, and from step to step. Those at nearly the
    same time are one, or their words would cover each other."""
    found: list[Change] = []
    for line in story.journal:
        if not (words := _CHANGES.get(line.entry.event)):
            continue
        seconds = line.at - story.started_at
        words += "" if line.entry.actor == CONTROLLER else ", by hand"
        if found and seconds - found[-1].seconds < _NEAR * story.seconds:
            found[-1] = Change(found[-1].seconds, f"{found[-1].words}; {words}")
        else:
            found.append(Change(seconds, words))
    return found
