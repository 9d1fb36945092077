"""Cases that pin a rule's numbers from both sides, built from those numbers: just under and just over each bound, just
too short and just long enough for each window, for ``for`` and for ``keep_firing_for``.

A builder works out at which evaluations the expression is true, from the meaning of the rule and not from its text;
``checks`` then says, by Prometheus' own state machine, when the alert fires. Values stand on the grid of evaluations,
where PromQL's ``increase`` extrapolates nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from math import frexp, ldexp

from ops.alerting.model import Case, Series

NEAR = 0.05
"""How far from a bound a case stands, as a share of it: half of the smallest change that must be found."""
REST = 4
"""Evaluations before, and after what a case is about."""
TIE = 1e-9
BITS = 10

Labels = tuple[Mapping[str, str], ...]
Values = Sequence[float | None]
"""One for each evaluation; None is no sample."""


@dataclass(frozen=True)
class Timing:
    for_seconds: float = 0
    keep_firing_seconds: float = 0
    step_seconds: int = 15
    """Between two evaluations, and between two samples."""
    own_evaluation: bool = False
    """The step is not the spec's."""

    def slower(self, step_seconds: int) -> Timing:
        """For windows of hours, which need few of the samples."""
        return replace(self, step_seconds=step_seconds, own_evaluation=True)

    def steps(self, seconds: float) -> int:
        return -int(-seconds // self.step_seconds)


def gauge(series: str, values: Values) -> Series:
    """A series with these values. What is missing is marked as stale, so that it is gone at once."""
    return Series(series, " ".join(_gauge_runs(values)))


def counter(series: str, increments: Sequence[float]) -> Series:
    """A series that starts at 0 and grows by these."""
    parts, total = ["0"], 0.0
    for step, run in groupby(increments[1:]):
        count = len(list(run))
        parts.append(f"{_text(total + step)}+{_text(step)}x{count - 1}")
        total += step * count
    return Series(series, " ".join(parts))


def checks(
    truth: Sequence[bool], timing: Timing, looks: Iterable[int] = ()
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Minutes at which the alert fires, and at which it does not: both sides of every change, halfway between two, the
    end, and those of ``looks``."""
    firing = list(_firing(truth, timing))
    changes = [k for k in range(1, len(firing)) if firing[k] != firing[k - 1]]
    halfway = {(former + latter) // 2 for former, latter in pairwise((0, *changes, len(firing)))}
    looked = sorted({*changes, *(k - 1 for k in changes), *halfway, *looks, len(firing) - 1})

    def minutes(state: bool) -> tuple[float, ...]:
        return tuple(k * timing.step_seconds / 60 for k in looked if firing[k] is state)

    return minutes(True), minutes(False)


def exact(number: float) -> float:
    """Within 0.1 % of the number, and of so few binary digits that sums of it are exact: promtool adds increments up
    one by one, and a counter that rounding makes a hair smaller counts as reset."""
    mantissa, exponent = frexp(number)
    return ldexp(round(ldexp(mantissa, BITS)), exponent - BITS)


def case(
    name: str,
    inputs: tuple[Series, ...],
    truth: Sequence[bool],
    timing: Timing,
    labels: Labels = ({},),
    looks: Iterable[int] = (),
) -> Case:
    """A case in which the expression is true at those evaluations, looked at when ``checks`` says."""
    fires, silent = checks(truth, timing, looks)
    step = timing.step_seconds
    return Case(name, inputs, fires, silent, labels, step, step if timing.own_evaluation else None)


def level_cases(
    inputs: Callable[[Values], tuple[Series, ...]],
    beyond: float | None,
    within: float | None,
    timing: Timing,
    labels: Labels = ({},),
) -> tuple[Case, ...]:
    """For a rule on what is seen at one moment: ``beyond`` makes its expression true, ``within`` does not.

    ``near`` gives both for a bound. ``inputs`` makes the series from the values.
    """
    held, kept = timing.steps(timing.for_seconds), timing.steps(timing.keep_firing_seconds)
    values = [within] * REST + [beyond] * (held + REST) + [within] * (kept + REST)
    truth = [False] * REST + [True] * (held + REST) + [False] * (kept + REST)
    short = [within] * REST + [beyond] * max(held, 1) + [within] * REST
    quiet = [within] * (held + 2 * REST)
    made = [
        case("beyond its bound, until it is not", inputs(values), truth, timing, labels),
        case("within its bound", inputs(quiet), [False] * len(quiet), timing),
    ]
    if held:
        truth = [False] * REST + [True] * held + [False] * REST
        made.append(case("beyond its bound, too short", inputs(short), truth, timing))
    return tuple(made)


def near(bound: float, top: float = float("inf")) -> tuple[float, float]:
    """Just beyond and just within a bound from above, of values that stay below ``top``."""
    return min(bound * (1 + NEAR), (bound + top) / 2), bound * (1 - NEAR)


def over(window_seconds: float, increments: Sequence[float], timing: Timing) -> list[float]:
    """A counter's ``increase`` over a window at each evaluation."""
    width = timing.steps(window_seconds)
    sums = [0.0, *accumulate(increments)]
    return [sums[k + 1] - sums[max(0, k + 1 - width)] for k in range(len(increments))]


Rates = Callable[[Sequence[float], Sequence[float]], tuple[Series, ...]]
"""Series from the increments of what is bad, and of all."""


@dataclass(frozen=True)
class Share:
    """``increase(bad[window]) / increase(all[window]) > percent / 100 and increase(bad[window]) >= at_least``."""

    percent: float
    window_seconds: float
    at_least: float = 0

    def truth(self, bad: Sequence[float], every: Sequence[float], timing: Timing) -> list[bool]:
        bads, alls = (over(self.window_seconds, one, timing) for one in (bad, every))
        return [
            every > TIE and beyond(100 * bad / every, self.percent) and (bad >= self.at_least * (1 - TIE))
            for bad, every in zip(bads, alls, strict=True)
        ]


def beyond(value: float, bound: float) -> bool:
    """``value > bound``. Raises ValueError where rounding would decide."""
    if bound and abs(value - bound) <= TIE * abs(bound):
        raise ValueError(f"{value} is {bound} but for rounding: move the case away from it")
    return value > bound


def share_cases(inputs: Rates, rule: Share, timing: Timing, labels: Labels = ({},)) -> tuple[Case, ...]:
    """Traffic that comes and goes with a share of bad ones near the bound; then a trickle, all bad, near the floor."""
    width = timing.steps(rule.window_seconds)
    held, kept = timing.steps(timing.for_seconds), timing.steps(timing.keep_firing_seconds)
    long = 2 * width + held + REST
    """Longer than the next longer window."""

    def made(name: str, bad_each: float, every_each: float, steps: int, after: int) -> Case:
        bad = [*[0.0] * REST, *[exact(bad_each)] * steps, *[0.0] * after]
        every = [*[0.0] * REST, *[exact(every_each)] * steps, *[0.0] * after]
        return case(name, inputs(bad, every), rule.truth(bad, every, timing), timing, labels)

    volume, tail = max(1.0, 2 * rule.at_least * 100 / rule.percent), width + kept + REST
    part = volume * rule.percent / 100
    found = [
        made("a share just beyond the bound, and its end", part * (1 + NEAR), volume, held + REST, tail),
        made("a share just beyond the bound, for long", part * (1 + NEAR), volume, long, 0),
        made("a share just within the bound, for long", part * (1 - NEAR), volume, long, 0),
    ]
    if rule.at_least:
        few, times = rule.at_least / width, max(1.0, 50 / rule.percent)
        for name, bad in (("just enough bad ones", few * (1 + NEAR)), ("just too few bad ones", few * (1 - NEAR))):
            found.append(made(name, bad, times * bad, long, 0))
    return tuple(found)


def count_cases(
    inputs: Callable[[Sequence[float]], tuple[Series, ...]],
    more_than: float,
    window_seconds: float,
    timing: Timing,
    labels: Labels = ({},),
) -> tuple[Case, ...]:
    """For ``increase(x[window]) > more_than``: a burst, whose end the window tells, and trickles near the bound."""
    width = timing.steps(window_seconds)
    held, kept = timing.steps(timing.for_seconds), timing.steps(timing.keep_firing_seconds)
    tail = [0.0] * (width + kept + REST)

    def made(name: str, each: float, steps: int) -> Case:
        counts = [*[0.0] * REST, *[exact(each)] * steps, *tail]
        truth = [beyond(n, more_than) for n in over(window_seconds, counts, timing)]
        return case(name, inputs(counts), truth, timing, labels)

    few, long = more_than / width, width + held + REST
    return (
        made("a burst, until its window has passed", 2 * more_than or 1, held + 1),
        *(
            (
                made("a trickle just beyond the bound", few * (1 + NEAR), long),
                made("a trickle just within the bound", few * (1 - NEAR), long),
            )
            if more_than
            else (made("nothing", 0, long),)
        ),
    )


def _firing(truth: Iterable[bool], timing: Timing) -> Iterable[bool]:
    """Prometheus' state machine (rules/alerting.go): pending for ``for``, kept for ``keep_firing_for``."""
    active: int | None = None
    ended: int | None = None
    firing = False
    for k, true in enumerate(truth):
        if true:
            active, ended = (k if active is None else active), None
            firing = firing or (k - active) * timing.step_seconds >= timing.for_seconds
        elif firing:
            ended = k if ended is None else ended
            firing = (k - ended) * timing.step_seconds < timing.keep_firing_seconds
        if not true and not firing:
            active = ended = None
        yield firing


def _gauge_runs(values: Values) -> Iterable[str]:
    for value, run in groupby(values):
        count = len(list(run))
        if value is None:
            yield "stale" if count == 1 else f"stale _x{count - 1}"
        else:
            yield f"{_text(value)}+0x{count - 1}"


def _text(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)
