"""Counts imagined requests as a gateway counts real ones: each thing at the look at which it has become certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ops.judge.counting import Cells, Counts
from ops.judge.imagining import CellTraffic, Requests, Traffic
from serving.contract import Arm, BadEvent, Levels

_ASSIGNED, _STREAMED, _FINISHED = 0, 1, 2
_BAD = {BadEvent.FAILED: 3, BadEvent.UNANSWERED: 4, BadEvent.EMPTY: 5}
_GRADED = (BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS, BadEvent.OUTPUT_LENGTH)
_FIRST_LEVEL = 6
"""Kinds of what is counted: those above, then the levels of each graded event."""

Floats = NDArray[np.float64]


@dataclass
class Tally:
    """Of one rollout. ``quantiles`` cut the levels; where they lie is what stable shows over a long time."""

    traffic: Traffic
    quantiles: Sequence[float]
    _coming: dict[Arm, list[tuple[Floats, NDArray[np.int64]]]] = field(default_factory=dict)
    """By arm, what becomes certain: when, and which kind in which cell."""

    def __post_init__(self) -> None:
        found = [levels_of(self.traffic, cell, self.quantiles) for cell in self.traffic.cells]
        self._cuts = {event: np.array([levels[event] for levels in found]) for event in _GRADED}
        self.levels: dict[str, dict[str, Levels]] = {}
        for cell, levels in zip(self.traffic.cells, found, strict=True):
            task_class, _, stratum = cell.name.partition("/")
            self.levels.setdefault(task_class, {})[stratum] = levels
        self._levels = len(self.quantiles) + 1
        self._kinds = _FIRST_LEVEL + len(_GRADED) * self._levels
        self._timeouts = np.array([cell.timeout_seconds for cell in self.traffic.cells])

    def forget(self) -> None:
        """A new epoch: what is still to happen to earlier requests is counted under the old one."""
        self._coming.clear()

    def add(self, requests: Requests) -> None:
        pieces = self._coming.setdefault(requests.arm, [])
        cell, at = requests.cell, requests.at
        timeouts = self._timeouts[cell]
        unanswered = ~requests.failed & (requests.latency >= timeouts)
        over = at + np.minimum(requests.latency, timeouts)
        whole = ~(requests.failed | unanswered)
        for kind, when, mask in (
            (_ASSIGNED, at, None),
            (_STREAMED, at, requests.streamed),
            (_FINISHED, over, None),
            (_BAD[BadEvent.FAILED], over, requests.failed),
            (_BAD[BadEvent.UNANSWERED], over, unanswered),
            (_BAD[BadEvent.EMPTY], over, requests.empty & whole),
        ):
            pieces.append(self._piece(kind, cell, when, mask))
        never = requests.failed | unanswered
        self._grade(pieces, requests, BadEvent.SLOW, requests.latency, never, None)
        self._grade(pieces, requests, BadEvent.SLOW_FIRST_TOKEN, requests.first_token, never, requests.streamed)
        self._grade(pieces, requests, BadEvent.SLOW_TOKENS, requests.token_interval, None, requests.streamed & whole)
        self._grade(pieces, requests, BadEvent.OUTPUT_LENGTH, requests.tokens, None, whole)

    def until(self, now: float) -> Cells:
        """What has become certain before ``now`` and was not told yet."""
        found: Cells = {}
        for arm, pieces in self._coming.items():
            if not pieces:
                continue
            when, code = np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces])
            certain = when < now
            pieces[:] = [(when[~certain], code[~certain])]
            size = len(self.traffic.cells) * self._kinds
            counts = np.bincount(code[certain], minlength=size).reshape(-1, self._kinds)
            for cell, row in zip(self.traffic.cells, counts.tolist(), strict=True):
                if any(row):
                    found[cell.name, arm] = self._counts(row)
        return found

    def _counts(self, row: list[int]) -> Counts:
        levels = {}
        for i, event in enumerate(_GRADED):
            first = _FIRST_LEVEL + i * self._levels
            levels[event] = tuple(row[first : first + self._levels])
        bad = {event: row[kind] for event, kind in _BAD.items() if row[kind]}
        return Counts(row[_ASSIGNED], row[_FINISHED], row[_STREAMED], bad, levels)

    def _grade(
        self,
        pieces: list[tuple[Floats, NDArray[np.int64]]],
        requests: Requests,
        event: BadEvent,
        values: Floats,
        never: NDArray[np.bool_] | None,
        mask: NDArray[np.bool_] | None,
    ) -> None:
        """On its level when it is certain: a time on the last level when the last cut passes, else at its end."""
        cuts = self._cuts[event][requests.cell]
        level = (values[:, None] > cuts).sum(axis=1)
        seconds = requests.latency
        if event in (BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN):
            seconds = np.minimum(values, cuts[:, -1])
        seconds = np.minimum(seconds, self._timeouts[requests.cell])
        if never is not None:
            last = self._levels - 1
            level = np.where(never & (event is BadEvent.SLOW or requests.failed), last, level)
        first = _FIRST_LEVEL + _GRADED.index(event) * self._levels
        pieces.append(self._piece(first + level, requests.cell, requests.at + seconds, mask))

    def _piece(
        self, kind: int | NDArray[np.int64], cell: NDArray[np.int64], when: Floats, mask: NDArray[np.bool_] | None
    ) -> tuple[Floats, NDArray[np.int64]]:
        code = cell * self._kinds + kind
        return (when, code) if mask is None else (when[mask], code[mask])


def levels_of(traffic: Traffic, cell: CellTraffic, quantiles: Sequence[float]) -> Levels:
    """Where stable's quantiles lie over a long time. The sum of first token and tokens is taken for log-normal, with
    its own mean and variance (Fenton & Wilkinson 1960)."""
    load = traffic.load_sigma**2
    first, token = traffic.first_token_sigma**2, traffic.token_sigma**2
    rest = log(cell.token_seconds * cell.tokens), token + traffic.tokens_sigma**2
    parts = ((log(cell.first_token_seconds), first), rest)
    mean = sum(exp(mu + variance / 2) for mu, variance in parts)
    spread = sum(exp(2 * mu + variance) * (exp(variance) - 1) for mu, variance in parts)
    variance = log(1 + spread / mean**2)
    normals = {
        BadEvent.SLOW: (log(mean) - variance / 2, variance + load),
        BadEvent.SLOW_FIRST_TOKEN: (log(cell.first_token_seconds), first + load),
        BadEvent.SLOW_TOKENS: (log(cell.token_seconds), token + load),
        BadEvent.OUTPUT_LENGTH: (log(cell.tokens), traffic.tokens_sigma**2),
    }
    return {
        event: tuple(exp(mu + NormalDist().inv_cdf(quantile) * sqrt(square)) for quantile in quantiles)
        for event, (mu, square) in normals.items()
    }
