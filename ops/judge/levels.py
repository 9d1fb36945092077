"""Where the levels of graded events are cut: quantiles of what was measured before, frozen with the epoch.

A cut chosen before the comparison is only a place to cut: wherever it lies, the arms are held to the same one, so the
error rates do not depend on it. It decides the power.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from serving.contract import FINE_BOUNDS, GRADED, Arm, BadEvent, CounterSnapshot, Levels

_APART_MIN = 1.001
"""Cuts that coincide (everything was measured alike) are set this factor apart."""

Counted = dict[BadEvent, list[int]]
"""Per bound of ``FINE_BOUNDS`` and one more, by graded event."""
Measured = dict[tuple[str, str], Counted]
"""By task class and stratum; the stratum is empty for the whole class."""


def measured(snapshots: Iterable[CounterSnapshot], tier: str, arms: frozenset[Arm]) -> Measured:
    """What all workers measured on ``arms``, by class and stratum and by class alone."""
    found: Measured = {}
    for snapshot in snapshots:
        for cell in snapshot.measured:
            if cell.tier == tier and cell.arm in arms:
                for key in ((cell.task_class, cell.stratum), (cell.task_class, "")):
                    into = found.setdefault(key, {})
                    for event, counts in cell.counts.items():
                        have = into.setdefault(event, [0] * len(counts))
                        into[event] = [a + b for a, b in zip(have, counts, strict=True)]
    return found


def cut_levels(
    history: Measured,
    before: Mapping[str, Mapping[str, Levels]],
    *,
    quantiles: Sequence[float],
    history_min: int,
) -> dict[str, dict[str, Levels]]:
    """Cuts by class, stratum and event. The narrowest group with ``history_min`` answers decides: the stratum, then
    its class; without any, what stood ``before``."""
    return {
        task_class: {
            stratum: {
                event: found
                for event in sorted(GRADED)
                if (found := _cuts(history, task_class, stratum, event, quantiles, history_min) or levels.get(event))
            }
            for stratum, levels in strata.items()
        }
        for task_class, strata in before.items()
    }


def levels_of_targets(
    targets_seconds: Mapping[str, float], strata: Sequence[str], quantiles: Sequence[float]
) -> dict[str, dict[str, Levels]]:
    """Cuts where nothing was measured yet: the last at the class's target, each before it at half of the next.

    Of the whole answer alone: the spec says nothing of first tokens, and a cut that means nothing shows nothing.
    """
    return {
        task_class: {
            stratum: {BadEvent.SLOW: tuple(target / 2**i for i in reversed(range(len(quantiles))))}
            for stratum in strata
        }
        for task_class, target in targets_seconds.items()
    }


def _cuts(
    history: Measured,
    task_class: str,
    stratum: str,
    event: BadEvent,
    quantiles: Sequence[float],
    history_min: int,
) -> tuple[float, ...] | None:
    for key in ((task_class, stratum), (task_class, "")):
        counts = history.get(key, {}).get(event)
        if counts and sum(counts) >= history_min:
            return _rising([quantile(counts, FINE_BOUNDS[event], fraction) for fraction in quantiles])
    return None


def _rising(cuts: Sequence[float]) -> tuple[float, ...]:
    found: list[float] = []
    for cut in cuts:
        found.append(max(cut, found[-1] * _APART_MIN) if found else cut)
    return tuple(found)


def quantile(counts: Sequence[int], bounds: Sequence[float], fraction: float) -> float:
    """The ``fraction`` quantile of counts per upper bound, and one more for what lies above the last.

    Linear within a bound's interval; beyond the last bound, that bound. Raises ValueError without counts.
    """
    total = sum(counts)
    if not total:
        raise ValueError("no counts, no quantile")
    rank, below = fraction * total, 0
    for i, count in enumerate(counts[: len(bounds)]):
        if count and below + count >= rank:
            lower = bounds[i - 1] if i else 0.0
            return lower + (bounds[i] - lower) * (rank - below) / count
        below += count
    return bounds[-1]
