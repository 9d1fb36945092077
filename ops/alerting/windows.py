"""Recorded counts over windows, and expressions over them: what rules for objectives are made of.

Requests and misses are recorded as counts, not as ratios: counts can be summed over tiers and classes, and a floor of
bad events can be asked of them. Windows of hours and days are sums of recorded increments: ``increase`` over the raw
series would read every sample of every worker anew at each evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ops.alerting import examples
from ops.alerting.model import Example, Recording
from ops.spec.alerting import DIRECT_SECONDS_MAX, Objectives, Windows
from serving.contract import Objective

LEVEL = "tier_class_objective"
LABELS = "tier, task_class, objective"
OBJECTIVES = tuple(Objective)
COUNTS = ("requests", "misses")
INCREMENT_SECONDS = 240
"""Between increments, and between sums of them: within Prometheus's look-back of 5 minutes, so that the last is seen.
"""


def duration(seconds: float) -> str:
    """As PromQL writes it, in the largest unit that fits: 300 is ``5m``, 259200 ``3d``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def seconds(duration_text: str) -> float:
    """Back from ``duration``."""
    return float(duration_text[:-1]) * {"d": 86_400, "h": 3600, "m": 60, "s": 1}[duration_text[-1]]


def recorded(what: str, seconds: float) -> str:
    """``what`` is ``requests`` or ``misses``."""
    return f"{LEVEL}:{what}:increase{duration(seconds)}"


@dataclass(frozen=True)
class Lasting:
    """What keeps an alert that fires from coming and going."""

    keep_firing_seconds: float
    release_percent: float | None
    """Of its bound. None: it ends as soon as what began it is not true any more."""

    def released(self, percent: float) -> float | None:
        """The share at which an alert with this bound ends."""
        return None if self.release_percent is None else percent * self.release_percent / 100


Needs = Mapping[float, frozenset[str]]
"""Windows in seconds, and the objectives that rules ask for over each."""


def merged(each: Iterable[Needs]) -> Needs:
    found: dict[float, frozenset[str]] = {}
    for one in each:
        for seconds, wanted in one.items():
            found[seconds] = found.get(seconds, frozenset()) | wanted
    return found


def recordings(needs: Needs) -> tuple[Recording, ...]:
    """Requests and misses of each window, by tier, class and objective; of the long ones from ``increments``. Only of
    objectives that are asked for: an hour of raw samples, four times a minute, is dear."""
    return tuple(
        Recording(
            recorded(what, seconds),
            _increase(what, seconds, needs[seconds]) if direct(seconds) else _sum(what, seconds, needs[seconds]),
            (_example(what, seconds, needs[seconds]),),
        )
        for seconds in sorted(needs)
        for what in COUNTS
    )


def increments() -> tuple[Recording, ...]:
    """What long windows are summed from. A subquery takes one for each step, however often they are recorded."""
    every = frozenset(OBJECTIVES)
    return tuple(
        Recording(
            _increment(what), _increase(what, INCREMENT_SECONDS, every), (_example(what, INCREMENT_SECONDS, every),)
        )
        for what in COUNTS
    )


def _example(what: str, seconds: float, wanted: frozenset[str]) -> Example:
    if direct(seconds):
        return examples.of_increase(_counter(what), seconds, OBJECTIVES, wanted)
    return examples.of_sum(_increment(what), seconds, INCREMENT_SECONDS, OBJECTIVES, wanted)


def direct(seconds: float) -> bool:
    return seconds <= DIRECT_SECONDS_MAX


def _increase(what: str, seconds: float, wanted: frozenset[str]) -> str:
    return f"sum by ({LABELS}) (increase({_counter(what)}{_matcher(wanted)}[{duration(seconds)}]))"


def _counter(what: str) -> str:
    return f"gateway_objective_{what}_total"


def _sum(what: str, seconds: float, wanted: frozenset[str]) -> str:
    return f"sum_over_time({_increment(what)}{_matcher(wanted)}[{duration(seconds)}:{duration(INCREMENT_SECONDS)}])"


def _matcher(wanted: frozenset[str]) -> str:
    if wanted == frozenset(OBJECTIVES):
        return ""
    names = "|".join(sorted(wanted))
    return f'{{objective=~"{names}"}}' if len(wanted) > 1 else f'{{objective="{names}"}}'


def _increment(what: str) -> str:
    return f"{LEVEL}:{what}:increment{duration(INCREMENT_SECONDS)}"


def misses(objective: str, seconds: float, by: str) -> str:
    return f'sum by ({by}) ({recorded("misses", seconds)}{{objective="{objective}"}})'


def requests(objective: str, seconds: float, by: str) -> str:
    return f'sum by ({by}) ({recorded("requests", seconds)}{{objective="{objective}"}})'


def share(objective: str, seconds: float, by: str) -> str:
    """Of a window's requests those that missed the objective, 0 to 1; NaN without requests."""
    return f"{misses(objective, seconds, by)} / {requests(objective, seconds, by)}"


def over(objective: str, percent: float, seconds: float, by: str) -> str:
    """True where more than ``percent`` of a window's requests missed the objective."""
    return f"{share(objective, seconds, by)} > {percent / 100:.10g}"


def lasts(rules: Objectives, windows: Windows) -> Lasting:
    """Rules on long windows neither come and go nor are evaluated often enough to be kept from it."""
    return Lasting(rules.keep_firing_seconds if direct(windows.long_seconds) else 0, windows.release_percent)


def exceeding(alert: str, objective: str, percent: float, windows: Windows, by: str, lasting: Lasting) -> str:
    """True where more than ``percent`` missed over the long and over the short window, and each has as many misses as
    its floor asks for; and where the alert of that name fires already, and the short window's share has not fallen to
    the part of ``percent`` at which it is released."""
    begins = _over_both(objective, percent, windows, by)
    if (released := lasting.released(percent)) is None:
        return begins
    # Without `for` an alert is never pending, so that ALERTS has those that fire alone.
    goes_on = f'{over(objective, released, windows.short_seconds, by)} and on ({by}) ALERTS{{alertname="{alert}"}}'
    return f"{begins} or {goes_on}"


def ending(percent: float, windows: Windows, lasting: Lasting) -> str:
    """For people: when an alert of ``exceeding`` ends. Nothing where it ends with what began it."""
    if (released := lasting.released(percent)) is None:
        return ""
    return (
        f" It ends {duration(lasting.keep_firing_seconds)} after no more than {released:.4g} %"
        f" over {duration(windows.short_seconds)}."
    )


def _over_both(objective: str, percent: float, windows: Windows, by: str) -> str:
    each = ((windows.long_seconds, windows.bad_events_min), (windows.short_seconds, windows.short_bad_events_min))
    exceeded = (over(objective, percent, seconds, by) for seconds, _ in each)
    enough = (f"{misses(objective, seconds, by)} >= {floor}" for seconds, floor in each)
    return " and ".join((*exceeded, *enough))
