"""The traffic that there is, from the gateway's counters: what an imagined rollout is imagined on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import log, sqrt

from ops.judge.imagining import CellTraffic, Traffic
from ops.judge.levels import Counted, Measured, measured, quantile
from serving.contract import FINE_BOUNDS, Arm, BadEvent, CounterCell, CounterSnapshot

_LOW, _MIDDLE, _HIGH = 0.1587, 0.5, 0.8413
"""One standard deviation below a normal's mean, the mean, one above."""
_SPREAD_MIN, _SPREAD_MAX = 0.05, 2.0
"""Of a logarithm: bounds that are 10 % apart tell no less, and orders of magnitude are no class of requests."""
_LOAD_SIGMA_MAX = 0.3
"""Nobody measures the load that all arms share; it is taken to be this, or half of the spread where that is less."""
_FIRST_TOKEN_PART, _TOKENS_GUESS = 0.2, 100.0
"""Of an answer's time, where nothing is streamed; of its length, where no engine tells it."""
_FAILED_GUESS, _FAILED_GUESS_REQUESTS = 0.0005, 1000


@dataclass(frozen=True)
class Metered:
    """What the gateway's workers saw of one tier."""

    seconds: float
    """Between the first and the last reading."""
    requests: int
    """That arrived in between."""
    traffic: Traffic | None
    """None where no request arrived."""


def metered(
    readings: Sequence[Sequence[CounterSnapshot]],
    tier: str,
    timeouts: Mapping[str, float],
    spread_requests_min: int,
) -> Metered:
    """Rate and mix from what was counted between one reading and the next; spreads from all that was measured since the
    workers started.

    A worker that was restarted in between counts from its start: the rate comes out too low, never too high. Workers
    drop the cells of old epochs; between two readings that lie close together a dropped epoch had no traffic any more.
    ``timeouts``: seconds by task class. With fewer than ``spread_requests_min`` answers a class's spread is guessed.
    """
    newer = readings[-1] if readings else ()
    before = {snapshot.worker: snapshot for snapshot in readings[0]} if readings else {}
    seconds = min((one.at_unix_seconds - _since(before, one) for one in newer), default=0.0)
    arrived = _arrived(readings, tier)
    grown = {name: count for name, count in sorted(arrived.items()) if count > 0}
    requests = sum(grown.values())
    if not requests or seconds <= 0:
        return Metered(max(seconds, 0.0), requests, None)
    history = measured(newer, tier, frozenset(Arm))
    cells = tuple(_cell(name, count / requests, history, timeouts) for name, count in grown.items())
    spread = {event: _spread(history, event, spread_requests_min) for event in _DEFAULT_SPREAD}
    load = min(_LOAD_SIGMA_MAX, min(spread[BadEvent.SLOW_FIRST_TOKEN], spread[BadEvent.SLOW_TOKENS]) / 2)
    of_tier = [cell for snapshot in newer for cell in snapshot.cells if cell.tier == tier]
    traffic = Traffic(
        requests_per_second=requests / seconds,
        cells=cells,
        streamed_share=_streamed(of_tier),
        first_token_sigma=sqrt(spread[BadEvent.SLOW_FIRST_TOKEN] ** 2 - load**2),
        token_sigma=sqrt(spread[BadEvent.SLOW_TOKENS] ** 2 - load**2),
        tokens_sigma=spread[BadEvent.OUTPUT_LENGTH],
        load_sigma=load,
        failed_rate=_failed(of_tier),
    )
    return Metered(seconds, requests, traffic)


def _arrived(readings: Sequence[Sequence[CounterSnapshot]], tier: str) -> Counter[str]:
    """Requests between the first reading and the last, by class and stratum. What a reading misses is in the next."""
    arrived: Counter[str] = Counter()
    latest = {one.worker: one for one in readings[0]} if readings else {}
    for snapshot in chain.from_iterable(readings[1:]):
        base = latest.get(snapshot.worker)
        same = base is not None and base.instance == snapshot.instance
        then = {_key(cell): cell.assigned for cell in (base.cells if base and same else ())}
        for cell in snapshot.cells:
            if cell.tier == tier:
                arrived[f"{cell.task_class}/{cell.stratum}"] += cell.assigned - then.get(_key(cell), 0)
        latest[snapshot.worker] = snapshot
    return arrived


def _key(cell: CounterCell) -> tuple[str, Arm, int, str, str]:
    return cell.tier, cell.arm, cell.epoch, cell.task_class, cell.stratum


def _since(before: Mapping[str, CounterSnapshot], snapshot: CounterSnapshot) -> float:
    base = before.get(snapshot.worker)
    return base.at_unix_seconds if base else snapshot.at_unix_seconds


_DEFAULT_SPREAD = {BadEvent.SLOW_FIRST_TOKEN: 0.6, BadEvent.SLOW_TOKENS: 0.35, BadEvent.OUTPUT_LENGTH: 0.35}
"""As ``Traffic`` has them, its load included."""


def _spread(history: Measured, event: BadEvent, requests_min: int) -> float:
    """The standard deviation of the logarithm within a stratum, over those with answers enough."""
    weighted, weight = 0.0, 0
    for (_, stratum), counted in history.items():
        counts = counted.get(event, ())
        if stratum and sum(counts) >= requests_min:
            low, high = (max(quantile(counts, FINE_BOUNDS[event], part), 1e-6) for part in (_LOW, _HIGH))
            weighted, weight = weighted + sum(counts) * log(high / low) / 2, weight + sum(counts)
    found = weighted / weight if weight else _DEFAULT_SPREAD[event]
    return min(max(found, _SPREAD_MIN), _SPREAD_MAX)


def _cell(name: str, share: float, history: Measured, timeouts: Mapping[str, float]) -> CellTraffic:
    task_class, _, stratum = name.partition("/")
    counted = history.get((task_class, stratum), {})
    timeout = timeouts.get(task_class, 10.0)
    whole = _median(counted, BadEvent.SLOW) or timeout / 4
    first = _median(counted, BadEvent.SLOW_FIRST_TOKEN) or whole * _FIRST_TOKEN_PART
    tokens = max(_median(counted, BadEvent.OUTPUT_LENGTH) or _TOKENS_GUESS, 2.0)
    token = _median(counted, BadEvent.SLOW_TOKENS) or max(whole - first, whole / 10) / tokens
    return CellTraffic(name, share, first, token, tokens, timeout)


def _median(counted: Counted, event: BadEvent) -> float | None:
    counts = counted.get(event, ())
    return quantile(counts, FINE_BOUNDS[event], _MIDDLE) if sum(counts) else None


def _streamed(cells: Sequence[CounterCell]) -> float:
    assigned = sum(cell.assigned for cell in cells)
    return sum(cell.streamed for cell in cells) / assigned if assigned else 0.0


def _failed(cells: Sequence[CounterCell]) -> float:
    bad = sum(cell.bad.get(BadEvent.FAILED, 0) for cell in cells) + _FAILED_GUESS * _FAILED_GUESS_REQUESTS
    return min(bad / (sum(cell.assigned for cell in cells) + _FAILED_GUESS_REQUESTS), 0.5)
