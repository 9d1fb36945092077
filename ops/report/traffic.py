"""Who answered how many requests of a rollout, and how many went wrong: from the raw counters kept with its looks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ops.judge.counting import Counts
from ops.judge.model import Decision
from ops.rollout.recorded import RecordedLook
from serving.contract import Arm, BadEvent, CounterCell

_SLICES = 30
_SLICE_SECONDS_MIN = 1.0
_REQUESTS_PER_SLICE_MIN = 4
"""A share of fewer says nothing."""

_CellKey = tuple[str, Arm, int, str, str]
"""Worker's instance, arm, epoch, class, stratum."""


@dataclass(frozen=True)
class Counted:
    """Since the release first served, up to ``at`` (Unix seconds)."""

    at: float
    by_arm: Mapping[Arm, Counts]


@dataclass(frozen=True)
class BlindSpan:
    """Consecutive blind looks; times are Unix seconds."""

    since: float
    until: float
    """Of the first look that saw again, or of the last one there is."""
    looks: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Slice:
    """What one arm got in some seconds."""

    at: float
    """Its middle, Unix seconds."""
    seconds: float
    requests: int
    bad: int


def counted(looks: Sequence[RecordedLook]) -> list[Counted]:
    """Cumulative, a point for each look that saw every worker. One that was restarted begins at zero; what it had
    not shown by then is lost."""
    told = [look.told for look in looks if look.told]
    if not told:
        return []
    first_epoch = told[0].situation.epoch
    before: dict[_CellKey, Counts] = {}
    total: dict[Arm, Counts] = {}
    points = []
    for one in told:
        for snapshot in one.snapshots:
            for cell in snapshot.cells:
                if cell.epoch < first_epoch:
                    continue
                key = (snapshot.instance, cell.arm, cell.epoch, cell.task_class, cell.stratum)
                counts = _counts(cell)
                grown = counts.plus(before.get(key, Counts()), -1)
                if not grown.went_backwards:
                    total[cell.arm] = total.get(cell.arm, Counts()).plus(grown)
                before[key] = counts
        # With a worker unseen the sum would stand still, and then leap when it is back.
        if {snapshot.worker for snapshot in one.snapshots} >= set(one.workers):
            points.append(Counted(one.at, dict(total)))
    return points


def _counts(cell: CounterCell) -> Counts:
    return Counts(cell.assigned, cell.finished, cell.streamed, dict(cell.bad))


def slices(points: Sequence[Counted], arm: Arm, events: Collection[BadEvent]) -> Iterator[Slice]:
    """What the arm got in turn; ``bad`` counts ``events``, of which one request may show several."""
    if not points:
        return
    width = max(_SLICE_SECONDS_MIN, (points[-1].at - points[0].at) / _SLICES)
    start = points[0]
    for point in points[1:]:
        if point.at - start.at < width:
            continue
        grown = point.by_arm.get(arm, Counts()).plus(start.by_arm.get(arm, Counts()), -1)
        bad = sum(count for event, count in grown.bad.items() if event in events)
        yield Slice((start.at + point.at) / 2, point.at - start.at, grown.assigned, bad)
        start = point


def worth_showing(one: Slice) -> bool:
    return one.requests >= _REQUESTS_PER_SLICE_MIN


def blind_spans(looks: Sequence[RecordedLook]) -> list[BlindSpan]:
    spans: list[BlindSpan] = []
    run: list[RecordedLook] = []
    for look in looks:
        if look.look.decision is Decision.BLIND:
            run.append(look)
        elif run:
            spans.append(_span(run, look.at))
            run = []
    return [*spans, _span(run, run[-1].at)] if run else spans


def _span(run: Sequence[RecordedLook], until: float) -> BlindSpan:
    reasons = dict.fromkeys(item.text for look in run for item in look.look.verdict.evidence)
    return BlindSpan(run[0].at, until, len(run), tuple(reasons))
