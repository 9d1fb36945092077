"""Rule tests for alerts on shares of missed requests: each bound and each window is pinned from both sides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ops.alerting.model import Case, Series
from ops.alerting.windows import INCREMENT_SECONDS, OBJECTIVES, Lasting, direct
from ops.spec.alerting import Windows

INSTANCES = ("10.0.0.1:9001", "10.0.0.2:9001")
"""Each worker counts half of the requests."""
REQUESTS = 100_000
"""Of a worker between two samples: so many that every share is a whole number of them."""
NEAR = 0.05
"""How far from its bound a case stands, as a share of it: half of the smallest change that must be found."""
DILUTION = 10_000
EVALUATIONS = 8
"""Enough for a share that does not change."""
HOUR_SECONDS, DAY_SECONDS = 3600, 86_400


class Others(Enum):
    """What is fed in of the other objectives. A rule that mixed them up would count wrong."""

    NONE = "nothing"
    HELD = "as many requests, none missed: shares would be too small"
    MISSED = "as many requests, all missed: counts would be too large"


@dataclass(frozen=True)
class Phase:
    samples: int
    requests: int
    """Of each worker, from one sample to the next."""
    misses: int


@dataclass(frozen=True)
class Bound:
    """What an alert of this kind fires at, and on what labels."""

    objective: str
    percent: float
    long_seconds: float
    short_seconds: float
    bad_events_min: int
    short_bad_events_min: int
    """0 where there is no short window."""
    lasting: Lasting
    labels: Mapping[str, str]
    """Of the alert's instance in the tests."""
    sparse: bool = False

    @property
    def sample_seconds(self) -> int:
        return 15 if direct(self.long_seconds) else 60

    @property
    def evaluation_seconds(self) -> int | None:
        """None is the spec's own. Sparse evaluations see fewer increments, which changes counts and leaves shares."""
        if self.sparse and self.long_seconds >= DAY_SECONDS:
            return HOUR_SECONDS
        return None if direct(self.long_seconds) else INCREMENT_SECONDS

    @property
    def released_percent(self) -> float:
        """Down to which the short window's share keeps it firing."""
        released = self.lasting.released(self.percent)
        return self.percent if released is None else released

    @property
    def step_minutes(self) -> float:
        """Between two evaluations: as sharp as a test can be."""
        return (self.evaluation_seconds or self.sample_seconds) / 60


def of_windows(
    objective: str, percent: float, windows: Windows, lasting: Lasting, labels: Mapping[str, str]
) -> Bound:
    return Bound(
        objective,
        percent,
        windows.long_seconds,
        windows.short_seconds,
        windows.bad_events_min,
        windows.short_bad_events_min,
        lasting,
        labels,
    )


def cases(bound: Bound) -> tuple[Case, ...]:
    coarse = replace(bound, sparse=True)
    short = (_floor_of_the_short(bound),) if bound.short_bad_events_min else ()
    held = (*_released(bound), _held_by_no_other(bound)) if bound.released_percent < bound.percent else ()
    return (_comes_and_goes(coarse), *_thresholds(coarse), _floor(bound), *short, *held)


def _comes_and_goes(bound: Bound) -> Case:
    """Quiet for a long window, then twice the bound (or everything) missed, then quiet again."""
    percent = min(100.0, 2 * bound.percent)
    quiet = _samples(bound, bound.long_seconds)
    crossing = bound.long_seconds * bound.percent / percent
    burst = _samples(bound, max(crossing + 4 * bound.step_minutes * 60, bound.short_seconds))
    bad = round(REQUESTS * percent / 100)
    kept = bound.lasting.keep_firing_seconds
    rest = _samples(bound, 2 * bound.short_seconds + 2 * kept)
    phases = (Phase(quiet, REQUESTS, 0), Phase(burst, REQUESTS, bad), Phase(rest, REQUESTS, 0))
    begin, end = (quiet * bound.sample_seconds / 60, (quiet + burst) * bound.sample_seconds / 60)
    crossed = begin + crossing / 60
    reset = end + (bound.short_seconds * (1 - bound.released_percent / percent) + kept) / 60
    step = bound.step_minutes
    return _case(
        bound,
        f"{percent:.4g} % miss from minute {begin:g} to {end:g}",
        phases,
        fires=(_at(bound, crossed) + step, _at(bound, reset) - step),
        silent=(begin, _at(bound, crossed) - step, _at(bound, reset) + 2 * step),
        others=Others.HELD,
    )


def _thresholds(bound: Bound) -> Iterator[Case]:
    """A share a little over, then a little under the bound: in one window while it is far over it in the other. What is
    to stay silent would not, if the misses of other objectives were counted."""
    made = (_in_the_short, _in_the_long) if bound.short_seconds < bound.long_seconds else (_in_both,)
    for phases in made:
        where = phases.__name__.removeprefix("_").replace("_", " ")
        for factor, word in ((1 + NEAR, "over"), (1 - NEAR, "under")):
            parts, seconds = phases(bound, factor)
            at = (_at(bound, seconds / 60),)
            name = f"a little {word} {bound.percent:.4g} % {where}"
            if factor > 1:
                yield _case(bound, name, parts, fires=at, others=Others.HELD)
            else:
                yield _case(bound, name, parts, silent=at, others=Others.MISSED)


def _in_both(bound: Bound, factor: float) -> tuple[tuple[Phase, ...], float]:
    seconds = EVALUATIONS * bound.step_minutes * 60
    return (_phase(bound, seconds, bound.percent * factor),), seconds


def _in_the_long(bound: Bound, factor: float) -> tuple[tuple[Phase, ...], float]:
    """Twice the bound for a short window, before that so little that the long one comes to what it should."""
    long, short = bound.long_seconds, bound.short_seconds
    high = min(100.0, 2 * bound.percent)
    low = (factor * bound.percent * long - high * short) / (long - short)
    return (_phase(bound, long - short, low), _phase(bound, short, high)), long


def _in_the_short(bound: Bound, factor: float) -> tuple[tuple[Phase, ...], float]:
    """All of some requests miss while very many before them dilute the long window; when those have left it, the short
    window's share is what it should be. Else it would have fired before, and be kept firing."""
    long, step = bound.long_seconds, bound.step_minutes * 60
    burst = max(2 * step, round(long / 5 / step) * step)
    diluting = Phase(_samples(bound, 2 * step), DILUTION * REQUESTS, 0)
    after = long - burst / 2
    parts = (diluting, _phase(bound, burst, 100), _phase(bound, after, bound.percent * factor))
    return parts, 2 * step + burst + _at(bound, after / 60) * 60


def _released(bound: Bound) -> Iterator[Case]:
    """It fires, and then for longer than it is kept the share is a little over, or under, that at which it is released.
    """
    step = bound.step_minutes * 60
    fired = bound.long_seconds / 2 + 4 * step
    seconds = fired + bound.short_seconds + bound.lasting.keep_firing_seconds + 2 * step
    for factor, word in ((1 + NEAR, "over"), (1 - NEAR, "under")):
        phases = (
            _phase(bound, fired, min(100.0, 2 * bound.percent)),
            _phase(bound, seconds - fired, bound.released_percent * factor),
        )
        at = (_at(bound, seconds / 60),)
        name = f"fires, and then a little {word} {bound.released_percent:.4g} %"
        if factor > 1:
            yield _case(bound, name, phases, fires=at, others=Others.HELD)
        else:
            yield _case(bound, name, phases, silent=at, others=Others.MISSED)


def _held_by_no_other(bound: Bound) -> Case:
    """Its own share is between the one at which it would be released and the one at which it would fire. Of those that
    differ in one label each all requests miss, and they fire; and so does another alert with its labels."""
    seconds = bound.long_seconds
    between = (bound.released_percent + bound.percent) / 2
    others = [{**bound.labels, key: f"{value}-other"} for key, value in bound.labels.items()]
    own = _case(bound, "", (_phase(bound, seconds, between),))
    firing = [_case(replace(bound, labels=labels), "", (_phase(bound, seconds, 100),)) for labels in others]
    another = Series(selector("ALERTS", {"alertname": "Another", **bound.labels}), f"1x{_samples(bound, seconds)}")
    return replace(
        own,
        name=f"{between:.4g} % miss, and others fire",
        inputs=(another, *(series for case in (own, *firing) for series in case.inputs)),
        fires=(_at(bound, seconds / 60),),
        labels=tuple(others),
    )


def _phase(bound: Bound, seconds: float, percent: float) -> Phase:
    return Phase(_samples(bound, seconds), REQUESTS, round(REQUESTS * percent / 100))


def _floor(bound: Bound) -> Case:
    """All requests miss, but they are few: spread over more than the short window, and within the long one."""
    wanted = min(2 * bound.short_seconds, bound.long_seconds * 0.9) / bound.bad_events_min
    if bound.short_bad_events_min:
        wanted = min(wanted, bound.short_seconds / (bound.short_bad_events_min + 1))
    every = max(1, int(wanted / bound.sample_seconds))
    one = (Phase(1, 1, 1), Phase(every - 1, 0, 0))
    last = 1 + (bound.bad_events_min - 1) * every
    return _case(
        bound,
        f"all of few requests miss, the {bound.bad_events_min}th at sample {last}",
        (*one * bound.bad_events_min, Phase(every, 0, 0)),
        fires=(_up(bound, last * bound.sample_seconds / 60),),
        silent=(_at(bound, (last - 1) * bound.sample_seconds / 60),),
        instances=INSTANCES[:1],
        others=Others.MISSED,
    )


def _floor_of_the_short(bound: Bound) -> Case:
    """One miss less than the long window's floor at once; when they have left the short window, others, spread over it:
    the first of them is enough for the long window, the last for the short one."""
    floor, step = bound.short_bad_events_min, round(bound.step_minutes * 60 / bound.sample_seconds)
    before = max(floor, bound.bad_events_min) - 1
    pause = _samples(bound, bound.short_seconds) + 2 * step
    spread = 0.8 * bound.short_seconds / max(1, floor - 1)
    every = max(1, int(spread / bound.sample_seconds / step)) * step
    one = (Phase(1, 1, 1), Phase(every - 1, 0, 0))
    last = 1 + pause + 1 + (floor - 1) * every
    return _case(
        bound,
        f"all of few requests miss, {before} at once, and of the others the {floor}th at sample {last}",
        (Phase(1, before, before), Phase(pause, 0, 0), *one * floor, Phase(every, 0, 0)),
        fires=(_up(bound, last * bound.sample_seconds / 60),),
        silent=(_at(bound, (last - 1) * bound.sample_seconds / 60),),
        instances=INSTANCES[:1],
        others=Others.MISSED,
    )


def _case(
    bound: Bound,
    name: str,
    phases: Sequence[Phase],
    *,
    fires: tuple[float, ...] = (),
    silent: tuple[float, ...] = (),
    instances: Sequence[str] = INSTANCES,
    others: Others = Others.NONE,
) -> Case:
    return Case(
        name,
        tuple(series for instance in instances for series in _counters(bound, phases, instance, others)),
        fires=fires,
        silent=silent,
        labels=(bound.labels,),
        interval_seconds=bound.sample_seconds,
        evaluation_seconds=bound.evaluation_seconds,
    )


def _counters(bound: Bound, phases: Sequence[Phase], instance: str, others: Others) -> Iterator[Series]:
    requests, misses = (values([(p.samples, getattr(p, what)) for p in phases]) for what in ("requests", "misses"))
    none = f"0x{_total(phases)}"
    of_others = {Others.NONE: None, Others.HELD: none, Others.MISSED: requests}[others]
    for objective in OBJECTIVES:
        missed = misses if objective == bound.objective else of_others
        if missed is not None:
            labels = {"tier": "production", "task_class": "query", **bound.labels, "objective": objective}
            labels |= {"job": "gateway", "instance": instance}
            yield Series(selector("gateway_objective_requests_total", labels), requests)
            yield Series(selector("gateway_objective_misses_total", labels), missed)


def selector(name: str, labels: Mapping[str, str]) -> str:
    matchers = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{matchers}}}"


def values(steps: Sequence[tuple[int, int]]) -> str:
    """A counter from 0, in promtool's notation: for each of so many samples it grows by so much."""
    parts, last = ["0"], 0
    for samples, growth in steps:
        if samples:
            parts.append(f"{last + growth}+{growth}x{samples - 1}")
            last += samples * growth
    return " ".join(parts)


def _total(phases: Sequence[Phase]) -> int:
    return sum(phase.samples for phase in phases)


def _samples(bound: Bound, seconds: float) -> int:
    return round(seconds / bound.sample_seconds)


def _at(bound: Bound, minutes: float) -> float:
    """The last evaluation up to then."""
    return math.floor(minutes / bound.step_minutes + 1e-9) * bound.step_minutes


def _up(bound: Bound, minutes: float) -> float:
    """The first evaluation from then."""
    return math.ceil(minutes / bound.step_minutes - 1e-9) * bound.step_minutes
