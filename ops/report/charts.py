"""Pictures of a rollout as SVG text, to be put into a page."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ops.report.rollout_story import RolloutStory, Series, evidence, latency_quantiles, weights

# Paul Tol's palette, which colour-blind eyes can tell apart.
_COLOURS = {"stable": "#4477aa", "baseline": "#999933", "canary": "#cc3311"}
_STYLES = {"stable": "-", "baseline": "--", "canary": "-"}
_EVENT_COLOURS = ("#cc3311", "#ee7733", "#0077bb", "#009988", "#aa3377", "#bbbbbb")
_SIZE_INCHES = (9.0, 2.6)
_OVERVIEW_INCHES = (9.5, 5.6)
_E_SHOWN_MIN, _E_SHOWN_MAX = 1e-2, 1e12


def overview_chart(stories: Sequence[RolloutStory]) -> str:
    """Rollouts side by side, each at the width of its time: weights, latency and the evidence that decided."""
    rows: Sequence[Callable[[Axes, RolloutStory], None]] = (
        _draw_weights,
        lambda axes, story: _draw_latency(axes, story, 0.95),
        lambda axes, story: _draw_evidence(axes, story, against=True),
    )
    with _style():
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
        return _rendered(figure)


def weights_chart(story: RolloutStory) -> str:
    return _alone(_draw_weights, story)


def latency_chart(story: RolloutStory, fraction: float) -> str:
    return _alone(lambda axes, story: _draw_latency(axes, story, fraction), story)


def evidence_chart(story: RolloutStory, *, against: bool) -> str:
    return _alone(lambda axes, story: _draw_evidence(axes, story, against=against), story)


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


def _draw_latency(axes: Axes, story: RolloutStory, fraction: float) -> None:
    for part in latency_quantiles(story, fraction):
        milliseconds = [value * 1000 for value in part.values]
        axes.plot(
            part.seconds, milliseconds, label=part.name, color=_COLOURS[part.name], linestyle=_STYLES[part.name]
        )
    axes.set_ylabel(f"whole answer,\np{fraction * 100:.0f}, ms")
    axes.set_ylim(bottom=0)


def _draw_evidence(axes: Axes, story: RolloutStory, *, against: bool) -> None:
    lines = list(evidence(story, against=against))
    for colour, (part, _) in zip(_EVENT_COLOURS, lines, strict=False):
        axes.plot(part.seconds, _shown(part), label=part.name.replace("_", " "), color=colour)
    for needed in {needed for _, needed in lines}:
        axes.axhline(needed, color="black", linestyle=":", linewidth=1)
        words = f"{'rolls back' if against else 'harmless'} at {needed:,.0f}"
        axes.annotate(words, (0, needed), xytext=(2, 3), textcoords="offset points", fontsize=8)
    axes.set_yscale("log")
    axes.set_ylabel("evidence against\n(e-value)" if against else "evidence for\n(e-value)")


def _shown(part: Series) -> Sequence[float]:
    return [min(max(value, _E_SHOWN_MIN), _E_SHOWN_MAX) for value in part.values]


def _alone(draw: Callable[[Axes, RolloutStory], None], story: RolloutStory) -> str:
    with _style():
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        draw(axes, story)
        _finish(axes, story, labelled=True)
        axes.set_xlabel("seconds since the start")
        _legend(axes, [axes])
        return _rendered(figure)


def _finish(axes: Axes, story: RolloutStory, *, labelled: bool) -> None:
    axes.set_xlim(0, max(story.seconds, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    if not labelled:
        axes.set_ylabel("")


def _legend(beside: Axes, sources: Iterable[Axes]) -> None:
    """One entry for each name in any of ``sources``, to the right of ``beside``."""
    entries = {
        name: handle
        for axes in sources
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if entries:
        beside.legend(
            entries.values(), entries.keys(), loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8
        )


def _style() -> AbstractContextManager[None]:
    # Text stays text: smaller, searchable, and in the reader's font. A fixed salt keeps the ids byte-stable.
    return matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gratefulgpt", "font.size": 9})


def _rendered(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None}, facecolor="white")
    text = out.getvalue()
    return text[text.index("<svg") :]
