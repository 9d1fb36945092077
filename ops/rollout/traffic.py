"""The last minutes' readings of the gateway's counters, from which a tier's traffic is told. In memory: a controller
that has just begun knows nothing yet, and says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ops.judge.metering import Metered, metered
from serving.contract import CounterSnapshot

READ_EVERY_SECONDS = 10.0
READINGS_MAX = 61
"""Ten minutes: long enough that a lull is no verdict, short enough to follow the day."""


class Traffic:
    def __init__(self) -> None:
        self._readings: deque[tuple[CounterSnapshot, ...]] = deque(maxlen=READINGS_MAX)
        self._read_at = float("-inf")

    def read(self, snapshots: Sequence[CounterSnapshot], now: float) -> None:
        """``now`` in seconds of any clock that does not go back. A reading without any worker says nothing."""
        if snapshots and now - self._read_at >= READ_EVERY_SECONDS:
            self._readings.append(tuple(snapshots))
            self._read_at = now

    def of(self, tier: str, spread_requests_min: int) -> Metered:
        """From the oldest reading to the newest."""
        return metered(tuple(self._readings), tier, {}, spread_requests_min)
