"""From when on a request counts as slow: a quantile of what the stable release showed, frozen for a rollout.

A threshold chosen before the comparison is only a place to cut: wherever it lies, the arms are held to the same
one, so the error rates do not depend on it. It decides the power, which is best where events are common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from serving.contract import FINE_BOUNDS_SECONDS, Arm, CounterSnapshot, Threshold


def quantile(counts: Sequence[int], fraction: float) -> float | None:
    """The ``fraction`` quantile, in seconds, of counts per bound of ``FINE_BOUNDS_SECONDS``; None without counts.

    Linear within a bound's interval; beyond the last bound, that bound.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below = fraction * total, 0
    for i, count in enumerate(counts[: len(FINE_BOUNDS_SECONDS)]):
        if count and below + count >= rank:
            lower = FINE_BOUNDS_SECONDS[i - 1] if i else 0.0
            return lower + (FINE_BOUNDS_SECONDS[i] - lower) * (rank - below) / count
        below += count
    return FINE_BOUNDS_SECONDS[-1]


def slow_thresholds(
    snapshots: Iterable[CounterSnapshot],
    *,
    tier: str,
    fraction: float,
    requests_min: int,
    targets_seconds: Mapping[str, float],
    strata: Sequence[str],
) -> dict[str, dict[str, Threshold]]:
    """Thresholds by class and stratum, from stable's latencies since the workers started.

    Where stable has fewer than ``requests_min`` requests, the class's target is the threshold.
    """
    merged: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
    for snapshot in snapshots:
        for cell in snapshot.latencies:
            if cell.tier == tier and cell.arm is Arm.STABLE:
                latency, first = merged.setdefault((cell.task_class, cell.stratum), ([], []))
                _add(latency, cell.latency_counts)
                _add(first, cell.first_token_counts)
    return {
        task_class: {
            stratum: _threshold(*merged.get((task_class, stratum), ([], [])), fraction, requests_min, target)
            for stratum in strata
        }
        for task_class, target in targets_seconds.items()
    }


def _add(total: list[int], counts: Sequence[int]) -> None:
    if not total:
        total.extend([0] * len(counts))
    for i, count in enumerate(counts):
        total[i] += count


def _threshold(
    latency: Sequence[int], first_token: Sequence[int], fraction: float, requests_min: int, target: float
) -> Threshold:
    values = [
        value if sum(counts) >= requests_min and (value := quantile(counts, fraction)) is not None else target
        for counts in (latency, first_token)
    ]
    return Threshold(latency_seconds=values[0], first_token_seconds=values[1])
