"""Of some phases and one class: how many requests there were, and how many missed each target. Pure.

A request that failed, was dropped or never recorded misses every target that it was owed: a miss is counted as a
request without a good answer, not as one that was seen to be slow.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ops.loadtest.calls import INTENDED, LATE, OK
from ops.loadtest.plan import Kind
from ops.loadtest.recording import Histogram, Measure, Recorded, Recorder, percentile
from ops.loadtest.verdicts import Misses
from ops.spec.serving import TaskClass

Cells = Mapping[tuple[int, int], Recorded]
_MS = 1000


class Target(StrEnum):
    """In the words of evidence."""

    LATENCY = "latency"
    FIRST_TOKEN = "first token"
    TOKEN_INTERVAL = "time per token"


MEASURES = {
    Target.LATENCY: Measure.LATENCY,
    Target.FIRST_TOKEN: Measure.FIRST_TOKEN,
    # By stream, as the gateway's objective has it: the intervals within one stream are not independent.
    Target.TOKEN_INTERVAL: Measure.TIME_PER_TOKEN,
}


@dataclass(frozen=True)
class Tally:
    everything: Recorder
    streams: Recorder
    """Of the kinds that stream."""

    def histogram(self, measure: Measure) -> Histogram:
        return self.everything.histograms.get(measure) or Histogram()

    @property
    def intended(self) -> int:
        return self.everything.counts[INTENDED]

    @property
    def failed(self) -> int:
        """Without a good answer, unrecorded ones included."""
        return self.intended - self.everything.counts[OK]

    def errors(self) -> Misses:
        return Misses(self.intended, self.failed)

    def lost(self, target: Target) -> int:
        """Requests that were owed an answer in time and have nothing to measure: they rank above every answer."""
        if target is Target.LATENCY:
            return self.failed
        owed = self.streams.counts[INTENDED]
        if target is Target.FIRST_TOKEN:  # a whole stream without any token has missed it
            return owed - self.histogram(MEASURES[target]).count
        return owed - self.streams.counts[OK]

    def misses(self, target: Target, seconds: float) -> Misses:
        lost = self.lost(target)
        if target is Target.LATENCY:
            return Misses(self.intended, lost + self.everything.counts[LATE])
        found = self.histogram(MEASURES[target])
        return Misses(found.count + lost, found.over(seconds) + lost)

    def percentile(self, measure: Measure, percent: float) -> float | None:
        """Seconds, of all requests, those that failed above every answer; None where it falls on one of these."""
        owed = self.everything if measure in (Measure.LATENCY, Measure.SERVICE) else self.streams
        return percentile(self.histogram(measure), owed.counts[INTENDED] - owed.counts[OK], percent)


def tally(
    kinds: Sequence[Kind], cells: Cells, task_class: str | None = None, phases: Collection[int] | None = None
) -> Tally:
    """Of all classes, or phases, where none is named."""
    found = Tally(Recorder(), Recorder())
    for (phase, index), recorded in cells.items():
        kind = kinds[index]
        if (phases is None or phase in phases) and task_class in (None, kind.task_class):
            found.everything.merge(recorded)
            if kind.stream:
                found.streams.merge(recorded)
    return found


def classes(kinds: Sequence[Kind]) -> list[str]:
    return sorted({kind.task_class for kind in kinds})


def targets_of(task_class: TaskClass, streams: bool) -> dict[Target, float]:
    """Seconds; without streams there are no tokens to wait for."""
    found = {Target.LATENCY: task_class.latency_p95_ms / _MS}
    if streams:
        found[Target.FIRST_TOKEN] = task_class.first_token_p95_ms / _MS
        found[Target.TOKEN_INTERVAL] = task_class.token_interval_p95_ms / _MS
    return found
