"""Pictures of a rollout as SVG text, to be put into a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from math import isnan

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ops.judge.wording import number
from ops.report.rollout_story import (
    RolloutStory,
    Series,
    bad_shares,
    changes,
    evidence,
    latency_quantiles,
    request_rates,
    weights,
)
from ops.report.svg import picture_style, rendered

# Paul Tol's palette, which colour-blind eyes can tell apart.
_COLOURS = {"stable": "#4477aa", "baseline": "#999933", "canary": "#cc3311"}
_STYLES = {"stable": "-", "baseline": "--", "canary": "-"}
_EVENT_COLOURS = ("#cc3311", "#ee7733", "#0077bb", "#009988", "#aa3377", "#999933", "#332288")
_EVENT_STYLES = tuple(product(("-", "--", ":"), _EVENT_COLOURS))
_BLIND_COLOUR = "#bbbbbb"
_WIDTH_INCHES, _ROW_INCHES = 9.5, 2.2
_OVERVIEW_INCHES = (9.5, 5.6)
_SECONDS_SHOWN_MAX = 1200.0
"""A longer time is labelled in minutes."""
_LATENCY_QUANTILES = (0.5, 0.95)
_E_SHOWN_MIN, _E_SHOWN_MAX = 1e-2, 1e12

Draw = Callable[[Axes, RolloutStory], None]


_HEADROOM = 1.05
"""Above the highest point of a line."""


def overview_chart(stories: Sequence[RolloutStory]) -> str:
    """Rollouts side by side, each at the width of its time: weights, latency and the evidence that decided."""
    rows: Sequence[Draw] = (
        _draw_weights,
        partial(_draw_latency, fraction=0.95),
        partial(_draw_evidence, against=True),
    )
    with picture_style():
        figure = Figure(figsize=_OVERVIEW_INCHES, layout="constrained")
        grid = figure.subplots(
            len(rows),
            len(stories),
            sharex="col",
            sharey="row",
            squeeze=False,
            width_ratios=[max(story.seconds, 1.0) for story in stories],
        )
        for column, story in enumerate(stories):
            for row, draw in enumerate(rows):
                axes = grid[row][column]
                draw(axes, story)
                _finish(axes, story, labelled=column == 0)
            title = f"{story.rollout.release.name}: {story.rollout.state.value.replace('_', ' ')}"
            grid[0][column].set_title(title, loc="left", fontsize=10, fontweight="bold")
            grid[-1][column].set_xlabel("seconds since the start")
        for row in grid:
            _legend(row[-1], row)
        return rendered(figure)


def story_chart(story: RolloutStory) -> str:
    """All that is known of one rollout, on one axis of time."""
    rows: list[tuple[str, Draw]] = [("Weights, by the routing tables issued", _draw_weights_and_changes)]
    if story.traffic:
        rows += [
            ("Requests a second, by arm", _draw_requests),
            ("Bad events of the critical kinds, by arm ('slow' is relative: compare the arms)", _draw_bad_events),
        ]
    if story.samples:
        for fraction in _LATENCY_QUANTILES:
            words = f"Latency as users saw it, p{fraction * 100:.0f}"
            rows.append((words, partial(_draw_latency, fraction=fraction)))
    if story.looks:
        rows += [
            ("Evidence that the release is worse", partial(_draw_evidence, against=True)),
            ("Evidence that it is harmless, begun anew at each step", partial(_draw_evidence, against=False)),
        ]
    with picture_style():
        figure = Figure(figsize=(_WIDTH_INCHES, _ROW_INCHES * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), 1, sharex=True, squeeze=False)
        for (title, draw), (axes,) in zip(rows, grid, strict=True):
            draw(axes, story)
            _finish(axes, story, labelled=True)
            axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
            axes.tick_params(labelbottom=True)
            _legend(axes, [axes])
        _label_time(grid[-1][0], story)
        return rendered(figure)


def _label_time(axes: Axes, story: RolloutStory) -> None:
    began = time.strftime("%H:%M:%S", time.gmtime(story.started_at))
    if story.seconds <= _SECONDS_SHOWN_MAX:
        axes.set_xlabel(f"seconds since {began} UTC")
        return
    axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds / 60:g}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[3, 6, 10]))
    axes.set_xlabel(f"minutes since {began} UTC")


def _draw_weights(axes: Axes, story: RolloutStory) -> None:
    series = [part for part in weights(story) if any(part.values)]
    axes.stackplot(
        series[0].seconds,
        [part.values for part in series],
        labels=[part.name for part in series],
        colors=[_COLOURS[part.name] for part in series],
        step="post",
        alpha=0.85,
    )
    axes.set_ylabel("share of new\nrequests, %")
    axes.set_ylim(0, 100)


def _draw_weights_and_changes(axes: Axes, story: RolloutStory) -> None:
    _draw_weights(axes, story)
    for change in changes(story):
        axes.axvline(change.seconds, color="black", linewidth=0.8)
        axes.annotate(
            change.words, (change.seconds, 50), xytext=(-3, 0), textcoords="offset points", rotation=90, fontsize=7,
            ha="right", va="center", bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
        )  # fmt: skip


def _draw_requests(axes: Axes, story: RolloutStory) -> None:
    _draw_arms(axes, request_rates(story), "requests/s")


def _draw_bad_events(axes: Axes, story: RolloutStory) -> None:
    _draw_arms(axes, bad_shares(story), "per 100 requests")


def _draw_arms(axes: Axes, series: Iterable[Series], label: str) -> None:
    for part in series:
        colour, style = _COLOURS[part.name], _STYLES[part.name]
        axes.plot(part.seconds, part.values, label=part.name, color=colour, linestyle=style, marker=".", markersize=3)
    axes.set_ylabel(label)
    # Where charts share the axis, the next one's data must still fit.
    axes.set_ylim(0, max(axes.get_ylim()[1], axes.dataLim.y1 * _HEADROOM))


def _draw_latency(axes: Axes, story: RolloutStory, fraction: float) -> None:
    series = [
        Series(part.name, part.seconds, tuple(value * 1000 for value in part.values))
        for part in latency_quantiles(story, fraction)
    ]
    _draw_arms(axes, series, f"whole answer,\np{fraction * 100:.0f}, ms")


def _draw_evidence(axes: Axes, story: RolloutStory, *, against: bool) -> None:
    lines = list(evidence(story, against=against))
    for (style, colour), (part, _) in zip(_EVENT_STYLES, lines, strict=False):
        axes.plot(part.seconds, _shown(part), label=part.name, color=colour, linestyle=style)
    for needed in {needed for _, needed in lines}:
        axes.axhline(needed, color="black", linestyle=":", linewidth=1)
        words = f"{'rolls back' if against else 'harmless'} at {number(needed)}"
        axes.annotate(words, (0, needed), xytext=(2, 3), textcoords="offset points", fontsize=8)
    axes.set_yscale("log")
    axes.set_ylabel("evidence against\n(e-value)" if against else "evidence for\n(e-value)")


def _shown(part: Series) -> Sequence[float]:
    # A NaN stays: it breaks the line.
    return [value if isnan(value) else min(max(value, _E_SHOWN_MIN), _E_SHOWN_MAX) for value in part.values]


def _finish(axes: Axes, story: RolloutStory, *, labelled: bool) -> None:
    axes.set_xlim(0, max(story.seconds, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    for i, span in enumerate(story.blind):
        since, until = span.since - story.started_at, span.until - story.started_at
        axes.axvspan(since, until, color=_BLIND_COLOUR, alpha=0.5, linewidth=0, label="" if i else "blind")
    if not labelled:
        axes.set_ylabel("")


def _legend(beside: Axes, sources: Iterable[Axes]) -> None:
    """One entry for each name in any of ``sources``, to the right of ``beside``."""
    entries = {name: handle for axes in sources for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    if entries:
        beside.legend(
            entries.values(), entries.keys(), loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8
        )
