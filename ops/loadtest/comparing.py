"""Is one load run worse than another of the same load? Pure statistics over two reports.

Each figure has an interval for the difference, by the recovery of variances (Newcombe 1998; Zou and Donner 2008): for
shares over a target from Wilson's intervals, for percentiles from the ranks that an interval of the share allows, on
the logarithm. Requests that come together are slow together, so the number of requests is divided by the design effect
that blocks of time show. Worse by more than the margin must be shown with the confidence divided by the number of
figures (Bonferroni); not worse by more than it must be shown for every figure, which needs no correction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, inf, log, sqrt

from scipy.special import stdtrit

from ops.loadtest.blocks import BLOCKS, Blocks
from ops.loadtest.comparability import differences
from ops.loadtest.recording import Histogram, Measure, percentile
from ops.loadtest.reporting_document import Document
from ops.loadtest.tallies import MEASURES, Tally, Target, classes, tally
from ops.loadtest.verdicts import CONFIDENCE, Misses
from ops.spec.load_judging import Comparing
from ops.verdict import Evidence, Outcome, Verdict, combine

PERCENTS = {Target.LATENCY: (50.0, 95.0), Target.FIRST_TOKEN: (95.0,), Target.TOKEN_INTERVAL: (95.0,)}
ALL_CLASSES = "all"


@dataclass(frozen=True)
class Interval:
    """A value, and between which it lies. ``inf`` for a percentile that falls on a failed request."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """One figure of both runs. Shares and their difference in percent, percentiles in ms and their rise in percent."""

    task_class: str
    figure: str
    unit: str
    before: float
    after: float
    worse: Interval
    margin: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    verdict: Verdict
    figures: tuple[Compared, ...]


@dataclass(frozen=True)
class _Side:
    """``percent`` of a histogram, or a share where there is none."""

    misses: Misses
    effect: float
    """How much more the figure varies than that of independent requests."""
    histogram: Histogram | None = None
    failed: int = 0
    percent: float = 0.0

    def interval(self, z: float) -> Interval:
        if self.histogram is None:
            share = self.misses.misses / self.misses.requests
            low, high = wilson(share, self.misses.requests / self.effect, z)
            return Interval(100 * share, 100 * low, 100 * high)
        total = (self.histogram.count + self.failed) / self.effect
        low, high = wilson(self.percent / 100, total, z)
        return Interval(self._at(self.percent), self._at(100 * low), self._at(100 * high))

    def _at(self, percent: float) -> float:
        """Milliseconds."""
        found = percentile(self.histogram or Histogram(), self.failed, percent)
        return inf if found is None else 1000 * found


@dataclass(frozen=True)
class _Figure:
    """One to be compared, of both runs."""

    task_class: str
    name: str
    unit: str
    margin: float
    sides: tuple[_Side, _Side]


def compare(before: Document, after: Document, bounds: Comparing) -> Comparison:
    """Whether ``after`` is worse. Invalid where the two were not the same load, or one of them is invalid itself."""
    apart = tuple(differences(before, after))
    if apart:
        return Comparison(Verdict(Outcome.INVALID, tuple(Evidence(f"invalid: {words}") for words in apart)), ())
    figures = list(_figures(before, after, bounds))
    compared = tuple(_compared(figure, len(figures)) for figure in figures)
    return Comparison(combine(one.verdict for one in compared), compared)


# --- One figure -------------------------------------------------------------------------------------------------


def _compared(figure: _Figure, tests: int) -> Compared:
    relative = figure.unit == "ms"
    shown = _worse(figure, 1 - CONFIDENCE, relative)
    low = _worse(figure, (1 - CONFIDENCE) / tests, relative).low
    margin = figure.margin
    outcome = Outcome.PASS if shown.high <= margin else Outcome.FAIL if low > margin else Outcome.INCONCLUSIVE
    one, other = (side.interval(1.0).value for side in figure.sides)
    sign = "%" if relative else "points"
    words = (
        f"{figure.name} of {figure.task_class}: {_number(one)} before, {_number(other)} {figure.unit} after: "
        f"{shown.value:+.1f} {sign}, between {min(low, shown.low):+.1f} and {shown.high:+.1f} ({margin:+g} allowed)"
    )
    values: dict[str, float | int | str] = {
        "task_class": figure.task_class, "figure": figure.name, "before": one, "after": other,
        "worse": shown.value, "low": low, "high": shown.high, "margin": margin,
    }  # fmt: skip
    values = {name: value for name, value in values.items() if not isinstance(value, float) or abs(value) != inf}
    worse = Interval(shown.value, low, shown.high)
    verdict = Verdict(outcome, (Evidence(words, values),))
    return Compared(figure.task_class, figure.name, figure.unit, one, other, worse, margin, verdict)


def _number(value: float) -> str:
    return "beyond every answer" if value == inf else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _worse(figure: _Figure, alpha: float, relative: bool) -> Interval:
    """How much more the second is, one-sided at each end; for times in percent of the first."""
    z = float(stdtrit(BLOCKS - 1, 1 - alpha))
    before, after = (side.interval(z) for side in figure.sides)
    if not relative:
        return recovered(before, after)
    logs = [Interval(*(log(value) if value > 0 else -inf for value in (one.value, one.low, one.high)))
            for one in (before, after)]  # fmt: skip
    ratio = recovered(*logs)
    return Interval(*(100 * (_exp(value) - 1) for value in (ratio.value, ratio.low, ratio.high)))


def _exp(value: float) -> float:
    return exp(min(value, 700.0))


def recovered(before: Interval, after: Interval) -> Interval:
    """The difference of two independent figures, from the interval of each."""
    if inf in (before.value, after.value):
        return _beyond(before, after)
    value = after.value - before.value
    low = value - sqrt((after.value - after.low) ** 2 + (before.high - before.value) ** 2)
    high = value + sqrt((after.high - after.value) ** 2 + (before.value - before.low) ** 2)
    return Interval(value, low, high)


def _beyond(before: Interval, after: Interval) -> Interval:
    """Where a percentile falls on a failed request. In both it says nothing; in one, it is as clear as its interval."""
    if before.value == after.value:
        return Interval(0.0, -inf, inf)
    if after.value == inf:
        return Interval(inf, inf if after.low == inf and before.high < inf else -inf, inf)
    return Interval(-inf, -inf, -inf if before.low == inf and after.high < inf else inf)


def wilson(share: float, requests: float, z: float) -> tuple[float, float]:
    """Between which the true share lies. Wilson 1927."""
    scale = 1 + z**2 / requests
    middle = (share + z**2 / (2 * requests)) / scale
    half = z / scale * sqrt(share * (1 - share) / requests + z**2 / (4 * requests**2))
    return max(0.0, middle - half), min(1.0, middle + half)


# --- Which figures ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """One class of one run, or all of them."""

    tally: Tally
    blocks: Blocks


def _figures(before: Document, after: Document, bounds: Comparing) -> Iterator[_Figure]:
    """Those of which both runs have requests."""
    targets = {(one.task_class, one.target): one.seconds for phase in after.judged for one in phase.targets}
    for task_class in classes(after.kinds):
        one, other = _seen(before, task_class), _seen(after, task_class)
        for target in Target:
            seconds = targets.get((task_class, target.value))
            if seconds is None or not one.tally.histogram(MEASURES[target]).count:
                continue
            sides = _share(one, target, seconds), _share(other, target, seconds)
            words = f"{target.value} over {1000 * seconds:g} ms"
            yield _Figure(task_class, words, "%", bounds.late_points, sides)
            for percent in PERCENTS[target]:
                quantiles = _quantile(one, target, percent), _quantile(other, target, percent)
                words = f"p{percent:g} of {target.value}"
                yield _Figure(task_class, words, "ms", bounds.latency_percent, quantiles)
    errors = [_Side(one.tally.errors(), one.blocks.effect_of_failures()) for one in (_seen(before), _seen(after))]
    yield _Figure(ALL_CLASSES, "errors", "%", bounds.error_points, (errors[0], errors[1]))


def _seen(document: Document, task_class: str | None = None) -> _Seen:
    """Of the phases on which the verdict depends."""
    phases = {phase.number for phase in document.judged if phase.counts}
    return _Seen(tally(document.kinds, document.recorded(), task_class, phases), Blocks.of(document, task_class))


def _share(seen: _Seen, target: Target, seconds: float) -> _Side:
    return _Side(seen.tally.misses(target, seconds), seen.blocks.effect(_alike(seen, target, seconds)))


def _quantile(seen: _Seen, target: Target, percent: float) -> _Side:
    histogram = seen.tally.histogram(MEASURES[target])
    effect = seen.blocks.effect(_alike(seen, target, histogram.percentile(percent)))
    lost = seen.tally.lost(target)
    return _Side(Misses(histogram.count + lost, lost), effect, histogram, lost, percent)


def _alike(seen: _Seen, target: Target, seconds: float) -> float:
    """The latency that is exceeded as often: blocks of time are known by latency alone, and what makes requests slow
    together does so whatever is measured of them."""
    if target is Target.LATENCY:
        return seconds
    histogram = seen.tally.histogram(MEASURES[target])
    share = 100 * (1 - histogram.over(seconds) / histogram.count) if histogram.count else 0.0
    return seen.tally.histogram(Measure.LATENCY).percentile(share)
