"""What a dashboard is, in our words: rows of panels, each with its queries, unit and bounds.

Grafana's own model is far wider; ``rendering`` makes it from this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ops.alerting.catalogue import Source


class Shape(StrEnum):
    """How a panel shows its numbers; the value is Grafana's type of panel."""

    LINES = "timeseries"
    FIGURE = "stat"
    BARS = "bargauge"
    HEATMAP = "heatmap"
    """Of a histogram: its one query gives buckets by ``le``."""
    TABLE = "table"
    """Its queries are instant ones; equal labels become one row, and each query one column."""
    STATES = "state-timeline"


class Unit(StrEnum):
    """Grafana's names of units."""

    NUMBER = "short"
    RATIO = "percentunit"
    SECONDS = "s"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"
    REQUESTS_PER_SECOND = "reqps"
    PER_SECOND = "suffix:/s"
    TOKENS_PER_SECOND = "si:tok/s"
    CELSIUS = "celsius"
    WATTS = "watt"
    PERCENT = "percent"
    INSTANT = "dateTimeAsIso"
    """Milliseconds since 1970."""


GREEN, YELLOW, RED = "green", "yellow", "red"
BLUE, ORANGE, PURPLE = "blue", "orange", "purple"
GREY = "#45474d"
"""Of what is of no interest: no brighter than a panel's frame."""


@dataclass(frozen=True)
class Bound:
    """From this value on, a number has this colour."""

    value: float
    colour: str


@dataclass(frozen=True)
class Query:
    expression: str
    """PromQL with Grafana's variables."""
    legend: str = ""
    """``{{tier}}`` stands for the label's value; in a table it is the column's title."""
    instant: bool = False
    unit: Unit | None = None
    """Of this column of a table, where it is not the panel's."""
    bounds: tuple[Bound, ...] = ()
    """Of this column of a table: from them on its numbers are coloured."""


@dataclass(frozen=True)
class Panel:
    key: str
    """Within its dashboard; alerts name it. It never changes."""
    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    shape: Shape = Shape.LINES
    base: str = GREEN
    """The colour below the first bound."""
    bounds: tuple[Bound, ...] = ()
    """Rising. Without any, colours only tell series apart."""
    near: bool = True
    """Whether the axis always reaches the first bound: then it is seen how far from it one is."""
    colours: Mapping[str, str] = field(default_factory=dict)
    """By a regular expression of whole names of series: those whose colour says something."""
    dashes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The same for lines that are not drawn through: pixels drawn and left out."""
    ranked: bool = False
    """Whether the legend is a table with the last values, the largest first: for more series than a line holds."""
    none: str = ""
    """What stands where there are no data, if that is how it should be."""
    width: int = 8
    """Of 24 columns."""
    height: int = 8
    """Of about 30 pixels each."""
    least: float | None = None
    """Where the axis begins."""
    most: float | None = None
    stacked: bool = False
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Values that are shown as a word, and its colour."""
    cell_links: Mapping[str, str] = field(default_factory=dict)
    """Of a table: where a click on a label's cell leads; ``${__value.raw}`` stands for its value."""
    cell_colours: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of a table: by label the colours of its values' cells."""
    cell_widths: Mapping[str, int] = field(default_factory=dict)
    """Of a table: by column, in pixels. Others share what is left, and Grafana gives each at least 150."""
    sort_by: str = ""
    """Of a table: the column by which it is sorted, rising; with a minus before it, falling."""


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: the values of one label."""

    name: str
    title: str
    values: str
    """What Grafana asks Prometheus for: ``label_values(METRIC, LABEL)``."""
    every: str | None = ".+"
    """The pattern that stands for all of them; None: their names, joined."""


@dataclass(frozen=True)
class Dashboard:
    name: str
    title: str
    description: str
    sources: tuple[Source, ...]
    """Whose jobs and instances can be chosen."""
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    """Besides data source, job and instance."""
    since: str = "now-3h"

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows for panel in row.panels)
