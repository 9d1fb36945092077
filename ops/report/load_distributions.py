"""Pictures of how a load run's figures spread: by percentile, and beside the gateway's histogram."""

from __future__ import annotations

from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ops.loadtest.calls import INTENDED, OK
from ops.loadtest.recording import Measure, percentile
from ops.loadtest.reporting_document import Document, ServerSeen
from ops.loadtest.tallies import Tally, tally
from ops.report.load_style import PALETTE, WIDTH_INCHES, bare, coloured, legend, log_scale
from ops.report.svg import picture_style, rendered

_PERCENT_TICKS = (50, 90, 99, 99.9, 99.99)
_CURVE_POINTS = tuple(100 - 100 / 10 ** (i / 20) for i in range(4, 81))
"""Percents from 37 to 99.99, denser towards the end."""
_REQUESTS_BEYOND_MIN = 5
"""A percentile with fewer requests beyond it is not drawn: it is chance."""
_MS = 1000


def percentile_chart(document: Document) -> str:
    """Latency by percentile, of the measured phases: towards the right, a tenth of the requests at each step."""
    measured = {number for number, phase in enumerate(document.phases) if phase.measured}
    cells = document.recorded()
    with picture_style():
        figure = Figure(figsize=(WIDTH_INCHES, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes, measure, title in (
            (left, Measure.LATENCY, "Latency from the intended start"),
            (right, Measure.FIRST_TOKEN, "Time to first token"),
        ):
            for task_class, colour in coloured(document):
                seen = tally(document.kinds, cells, task_class, measured)
                points = _curve(seen, measure)
                if points:
                    axes.plot(*zip(*points, strict=True), label=task_class, color=colour)
            _percent_axis(axes)
            axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
            axes.set_ylabel("ms")
            log_scale(axes, vertical=True)
        legend(right)
        return rendered(figure)


def server_chart(document: Document) -> str:
    """By class and measure: the gateway's histogram, and ours at the same bounds."""
    seen = [one for one in document.server.histograms if sum(one.counts)]
    if not seen:
        return ""
    cells = document.recorded()
    columns = min(3, len(seen))
    rows = -(-len(seen) // columns)
    with picture_style():
        figure = Figure(figsize=(WIDTH_INCHES, 2.3 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(seen) :]:
            axes.set_axis_off()
        for axes, theirs in zip(grid.flat, seen, strict=False):
            _draw_beside(axes, theirs, tally(document.kinds, cells, theirs.task_class))
        grid.flat[0].legend(frameon=False, fontsize=8)
        return rendered(figure)


def _curve(seen: Tally, measure: Measure) -> list[tuple[float, float]]:
    """Where each percent lies, as far as there are requests beyond it; failed ones rank above every answer."""
    owed = seen.everything if measure is Measure.LATENCY else seen.streams
    histogram, failed = seen.histogram(measure), owed.counts[INTENDED] - owed.counts[OK]
    total = histogram.count + failed
    points = []
    for percent in _CURVE_POINTS:
        value = percentile(histogram, failed, percent)
        if value is None or total * (100 - percent) / 100 < _REQUESTS_BEYOND_MIN:
            break
        points.append((_stretched(percent), _MS * value))
    return points


def _stretched(percent: float) -> float:
    return 100 / (100 - percent)


def _percent_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_xticks(
        [_stretched(percent) for percent in _PERCENT_TICKS], [f"{percent:g} %" for percent in _PERCENT_TICKS]
    )
    axes.minorticks_off()
    axes.set_xlim(left=_stretched(_CURVE_POINTS[0]))
    bare(axes)


def _draw_beside(axes: Axes, theirs: ServerSeen, seen: Tally) -> None:
    ours = seen.histogram(Measure.SERVICE if theirs.measure is Measure.LATENCY else theirs.measure)
    total, bounds = sum(theirs.counts), [_MS * bound for bound in theirs.bounds_seconds]
    shares = [100 * count / total for count in accumulate(theirs.counts[:-1])]
    axes.step(bounds, shares, where="post", color=PALETTE[1], label="gateway")
    if ours.count:
        own = [100 * (1 - ours.over(bound) / ours.count) for bound in theirs.bounds_seconds]
        axes.plot(bounds, own, color=PALETTE[0], marker=".", linestyle="", label="generator, from the sending")
    log_scale(axes, vertical=False)
    axes.set_xlabel("ms")
    axes.set_ylabel("% within")
    words = theirs.measure.value.replace("_", " ")
    axes.set_title(f"{theirs.task_class}, {words}", loc="left", fontsize=9)
    bare(axes)
