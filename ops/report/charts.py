"""Pictures of a rollout as SVG text, to be put into a page."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ops.report.rollout_story import RolloutStory, Series, evidence, latency_quantiles, weights

# Paul Tol's palette, which colour-blind eyes can tell apart.
_COLOURS = {"stable": "#4477aa", "baseline": "#999933", "canary": "#cc3311"}
_STYLES = {"stable": "-", "baseline": "--", "canary": "-"}
_EVENT_COLOURS = ("#cc3311", "#ee7733", "#0077bb", "#009988", "#aa3377", "#bbbbbb")
_SIZE_INCHES = (9.0, 2.6)
_E_SHOWN_MIN, _E_SHOWN_MAX = 1e-2, 1e12


def weights_chart(story: RolloutStory) -> str:
    def draw(axes: Axes) -> None:
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

    return _svg(draw, story)


def latency_chart(story: RolloutStory, fraction: float) -> str:
    def draw(axes: Axes) -> None:
        for part in latency_quantiles(story, fraction):
            milliseconds = [value * 1000 for value in part.values]
            axes.plot(
                part.seconds, milliseconds, label=part.name, color=_COLOURS[part.name], linestyle=_STYLES[part.name]
            )
        axes.set_ylabel(f"whole answer,\np{fraction * 100:.0f}, ms")
        axes.set_ylim(bottom=0)

    return _svg(draw, story)


def evidence_chart(story: RolloutStory, *, against: bool) -> str:
    def draw(axes: Axes) -> None:
        lines = list(evidence(story, against=against))
        for colour, (part, _) in zip(_EVENT_COLOURS, lines, strict=False):
            axes.plot(part.seconds, _shown(part), label=part.name.replace("_", " "), color=colour)
        for needed in {needed for _, needed in lines}:
            axes.axhline(needed, color="black", linestyle=":", linewidth=1)
            words = f"{'rolls back' if against else 'harmless'} at {needed:,.0f}"
            axes.annotate(words, (0, needed), xytext=(2, 3), textcoords="offset points", fontsize=8)
        axes.set_yscale("log")
        axes.set_ylabel("evidence against\n(e-value)" if against else "evidence for\n(e-value)")

    return _svg(draw, story)


def _shown(part: Series) -> Sequence[float]:
    return [min(max(value, _E_SHOWN_MIN), _E_SHOWN_MAX) for value in part.values]


def _svg(draw: Callable[[Axes], None], story: RolloutStory) -> str:
    # Text stays text: smaller, searchable, and in the reader's font. A fixed salt keeps the ids byte-stable.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gratefulgpt", "font.size": 9}):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_xlim(0, max(story.seconds, 1.0))
        axes.set_xlabel("seconds since the start")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
