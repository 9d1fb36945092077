"""What the pictures of load runs share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from ops.loadtest.reporting_document import Document
from ops.loadtest.tallies import classes

# Paul Tol's palette, which colour-blind eyes can tell apart.
PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
WIDTH_INCHES = 9.5
_DECADES = 1e4
"""Over a wider range powers of ten must do."""


def coloured(document: Document) -> Iterator[tuple[str, str]]:
    yield from zip(classes(document.kinds), cycle(PALETTE), strict=False)


def bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)


def legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)


def log_scale(axes: Axes, *, vertical: bool) -> None:
    """With ordinary numbers, at 1, 2 and 5 of each power of ten where there is room. To be called after drawing."""
    (axes.set_yscale if vertical else axes.set_xscale)("log")
    axis = axes.yaxis if vertical else axes.xaxis
    low, high = axes.get_ylim()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if vertical and high < _DECADES * low else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:,g}")
