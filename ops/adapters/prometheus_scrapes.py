"""From the raw samples that Prometheus keeps of gateway workers to their counters, as the workers themselves give them.

All samples of a scrape carry its time, so a snapshot is put together from those of one time and from no others. It is
whole if they sum up to what the worker says they should (``METRIC_CONTROL_SUM``). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ops.rollout.counted import CountersError, Scrape
from serving.contract import (
    METRIC_ASSIGNED,
    METRIC_BAD,
    METRIC_CONTROL_SUM,
    METRIC_FINISHED,
    METRIC_INSTANCE,
    METRIC_LEVEL,
    METRIC_STREAMED,
    Arm,
    BadEvent,
    CounterCell,
    CounterSnapshot,
)

COUNT_MAX = 2**53
"""Prometheus keeps floats of 64 bits: beyond, they are not each integer."""
HIDDEN = "exported_"
"""Prometheus puts it before a scraped label whose name the target has too; for ``instance`` that is as it should be."""

_CELL = frozenset({"tier", "arm", "epoch", "task_class", "stratum"})
_TOTALS = {f"{METRIC_ASSIGNED}_total": "assigned", f"{METRIC_FINISHED}_total": "finished"}
_TOTALS |= {f"{METRIC_STREAMED}_total": "streamed"}
_BAD = f"{METRIC_BAD}_total"
_LEVEL = f"{METRIC_LEVEL}_total"
_OWN_LABELS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(_TOTALS, _CELL),
    _BAD: _CELL | {"event"},
    _LEVEL: _CELL | {"event", "level"},
    METRIC_CONTROL_SUM: frozenset(),
    METRIC_INSTANCE: frozenset({"worker", "exported_instance"}),
}
NAMES = tuple(_OWN_LABELS)
"""What is asked for."""


class Series(msgspec.Struct, frozen=True):
    """As Prometheus gives it for a range selector."""

    metric: dict[str, str]
    values: tuple[tuple[float, str], ...]
    """Unix seconds, and the value as text."""


class _Incomplete(Exception):
    """This scrape lacks something; the one before it may be whole."""


class _Malformed(Exception):
    """This is not what a gateway worker counts."""


Target = frozenset[tuple[str, str]]
Sample = tuple[Mapping[str, str], str]


def scrapes(found: Iterable[Series]) -> tuple[Scrape, ...]:
    """One per target that names its worker. Raises CountersError if the labels cannot be told apart."""
    targets: dict[Target, list[Series]] = {}
    for series in found:
        targets.setdefault(_target(series.metric), []).append(series)
    read = (_scrape(target, series) for target, series in targets.items())
    return tuple(scrape for scrape in read if scrape is not None)


def _target(labels: Mapping[str, str]) -> Target:
    """The labels that the scrape has added: alike on all series of a target."""
    name = labels.get("__name__", "")
    if name not in _OWN_LABELS:
        raise CountersError(f"Prometheus answered with a series that was not asked for: {name or 'without a name'}")
    own = _OWN_LABELS[name]
    if lacking := sorted(own - labels.keys()):
        why = "does the job set honor_labels?" if lacking == ["exported_instance"] else "is it a gateway's?"
        raise CountersError(f"a series {name} in Prometheus lacks the label {', '.join(lacking)}: {why}")
    rest = {key: value for key, value in labels.items() if key not in own and key != "__name__"}
    if hidden := sorted(key for key in rest if key.startswith(HIDDEN)):
        raise CountersError(f"the scrape job's own labels hide those of the gateway: {', '.join(hidden)}")
    return frozenset(rest.items())


def _scrape(target: Target, found: Sequence[Series]) -> Scrape | None:
    """The last whole one. One that cannot be understood ends the search: something else is wrong than an omission."""
    names = [series for series in found if series.metric["__name__"] == METRIC_INSTANCE and series.values]
    if not names:
        return None
    latest = max(names, key=lambda series: series.values[-1][0]).metric
    where = dict(target).get("instance") or "an unnamed target"
    worker, instance = latest["worker"], latest["exported_instance"]
    by_time: dict[float, list[Sample]] = {}
    for series in found:
        for at, value in series.values:
            by_time.setdefault(at, []).append((series.metric, value))
    fault = ""
    for at in sorted(by_time, reverse=True):
        try:
            snapshot = _snapshot(at, by_time[at])
        except _Incomplete as e:
            fault = fault or f"the last scrape of {where} is not whole: {e}"
        except _Malformed as e:
            return Scrape(where, worker, instance, None, f"the scrape of {where} cannot be used: {e}")
        else:
            return Scrape(where, snapshot.worker, snapshot.instance, snapshot, fault)
    return Scrape(where, worker, instance, None, fault)


@dataclass
class _Cell:
    totals: dict[str, int] = field(default_factory=dict)
    bad: dict[BadEvent, int] = field(default_factory=dict)
    levels: dict[BadEvent, dict[int, int]] = field(default_factory=dict)
    """By number of the level."""


def _snapshot(at: float, samples: Sequence[Sample]) -> CounterSnapshot:
    """Raises _Incomplete, _Malformed."""
    names: list[Mapping[str, str]] = []
    sums: list[int] = []
    cells: dict[tuple[str, Arm, int, str, str], _Cell] = {}
    counted = 0
    for labels, text in samples:
        name = labels["__name__"]
        count = _count(name, text)
        if name == METRIC_INSTANCE:
            names.append(labels)
        elif name == METRIC_CONTROL_SUM:
            sums.append(count)
        else:
            counted += 1 + count
            _add(cells.setdefault(_key(labels), _Cell()), labels, count)
    if len(names) > 1 or len(sums) > 1:
        raise _Malformed("two workers answer at one address")
    if not names or not sums:
        raise _Incomplete(f"it lacks {METRIC_CONTROL_SUM if names else METRIC_INSTANCE}")
    if counted != sums[0]:
        raise _Incomplete(f"its counters sum up to {counted}, and the worker says {sums[0]}")
    read = tuple(_cell(key, cell) for key, cell in cells.items())
    return CounterSnapshot(names[0]["worker"], names[0]["exported_instance"], at, read, ())


def _count(name: str, text: str) -> int:
    try:
        value = float(text)
    except ValueError as e:
        raise _Malformed(f"{name} is no number") from e
    if not math.isfinite(value) or value != int(value) or not 0 <= value <= COUNT_MAX:
        raise _Malformed(f"{name} is {value:g}, which is no count")
    return int(value)


def _key(labels: Mapping[str, str]) -> tuple[str, Arm, int, str, str]:
    try:
        return labels["tier"], Arm(labels["arm"]), int(labels["epoch"]), labels["task_class"], labels["stratum"]
    except ValueError as e:
        raise _Malformed(f"{labels['__name__']} has an arm or an epoch that is none") from e


def _add(cell: _Cell, labels: Mapping[str, str], count: int) -> None:
    name = labels["__name__"]
    try:
        into: dict[Any, int]
        key: Any
        if name in _TOTALS:
            into, key = cell.totals, _TOTALS[name]
        elif name == _BAD:
            into, key = cell.bad, BadEvent(labels["event"])
        else:
            into, key = cell.levels.setdefault(BadEvent(labels["event"]), {}), int(labels["level"])
    except ValueError as e:
        raise _Malformed("it counts an event or a level that this controller does not know") from e
    if key in into:
        raise _Malformed(f"a series {name} is there twice")
    into[key] = count


def _cell(key: tuple[str, Arm, int, str, str], cell: _Cell) -> CounterCell:
    # Nothing is lacking: the control sum has seen to that.
    assigned, finished, streamed = (cell.totals.get(name, 0) for name in _TOTALS.values())
    levels = {event: tuple(counts[level] for level in sorted(counts)) for event, counts in cell.levels.items()}
    return CounterCell(*key, assigned, finished, streamed, bad=cell.bad, levels=levels)
