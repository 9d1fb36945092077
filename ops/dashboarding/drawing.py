"""A panel as Grafana has it: our shapes, units and bounds, in the words of its model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as of_common
from grafana_foundation_sdk.models import dashboard as of_dashboard
from grafana_foundation_sdk.models import heatmap as of_heatmap
from grafana_foundation_sdk.models import prometheus as of_prometheus

from ops.dashboarding.links import panel_id
from ops.dashboarding.model import BLUE, Bound, Panel, Query, Shape, Unit

DATA_SOURCE = of_common.DataSourceRef(type_val="prometheus", uid="${datasource}")

LETTERS = "ABCDEFGHIJ"
"""Names of a panel's queries, one each; a table's columns are called after them."""

LAST = "lastNotNull"
STACKED_OPACITY = 40
BEYOND = 0.1
"""So much of the way to the first bound the axis goes on, so that its line does not lie on the edge."""
LEAST_SPANS: Mapping[Unit, float] = {
    Unit.NUMBER: 1,
    Unit.RATIO: 0.01,
    Unit.SECONDS: 0.001,
    Unit.BYTES: 1024,
    Unit.BYTES_PER_SECOND: 1024,
    Unit.REQUESTS_PER_SECOND: 0.1,
    Unit.PER_SECOND: 0.1,
    Unit.TOKENS_PER_SECOND: 10,
}
"""What an axis from 0 on shows at least, where no bound says it."""

Drawn = timeseries.Panel | stat.Panel | bargauge.Panel | heatmap.Panel | table.Panel | statetimeline.Panel
"""The builders that this module uses; they share no type with the methods that they share."""


def drawn(panel: Panel, links: Iterable[dashboard.DashboardLink]) -> Drawn:
    """The panel, without its place. ``links`` appear in its corner."""
    made = _SHAPES[panel.shape](panel)
    made.id(panel_id(panel.key)).title(panel.title).description(panel.description).datasource(DATA_SOURCE)
    made.unit(panel.unit.value).links(list(links)).targets(
        [_target(query, letter, panel.shape) for query, letter in zip(panel.queries, LETTERS, strict=False)]
    )
    if panel.least is not None:
        made.min(panel.least)
    if panel.most is not None:
        made.max(panel.most)
    if panel.none:
        made.no_value(panel.none)
    for pattern, colour in panel.colours.items():
        made.override_by_regexp(f"/^({pattern})$/", [_property("color", {"mode": "fixed", "fixedColor": colour})])
    if panel.words:
        made.mappings([_words(panel)])
    if panel.bounds:
        made.thresholds(_thresholds(panel.base, panel.bounds))
    return made


def _target(query: Query, letter: str, shape: Shape) -> prometheus.Dataquery:
    made = prometheus.Dataquery().ref_id(letter).datasource(DATA_SOURCE).expr(query.expression)
    made.editor_mode(of_prometheus.QueryEditorMode.CODE)
    if shape is Shape.HEATMAP:
        return made.range().format(of_prometheus.PromQueryFormat.HEATMAP).legend_format(query.legend)
    if shape is Shape.TABLE:
        return made.instant().format(of_prometheus.PromQueryFormat.TABLE)
    if query.instant:
        return made.instant().legend_format(query.legend)
    return made.range().legend_format(query.legend)


def _thresholds(base: str, bounds: Iterable[Bound]) -> dashboard.ThresholdsConfig:
    steps = [of_dashboard.Threshold(value=None, color=base)]
    steps += [of_dashboard.Threshold(value=bound.value, color=bound.colour) for bound in bounds]
    return dashboard.ThresholdsConfig().mode(of_dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _property(name: str, value: object) -> of_dashboard.DynamicConfigValue:
    return of_dashboard.DynamicConfigValue(id_val=name, value=value)


def _words(panel: Panel) -> of_dashboard.ValueMap:
    return of_dashboard.ValueMap(
        options={
            value: of_dashboard.ValueMappingResult(text=text, color=colour, index=place)
            for place, (value, (text, colour)) in enumerate(panel.words.items())
        }
    )


def _lines(panel: Panel) -> timeseries.Panel:
    # Areas that lie over each other mix their colours; those that are stacked do not.
    made = timeseries.Panel().line_width(1).fill_opacity(STACKED_OPACITY if panel.stacked else 0)
    made.show_points(of_common.VisibilityMode.NEVER)
    made.color_scheme(dashboard.FieldColor().mode(of_dashboard.FieldColorModeId.PALETTE_CLASSIC))
    made.legend(_ranking() if panel.ranked else _list())
    made.tooltip(
        common.VizTooltipOptions().mode(of_common.TooltipDisplayMode.MULTI).sort(of_common.SortOrder.DESCENDING)
    )
    if panel.bounds:
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(of_common.GraphThresholdsStyleMode.DASHED))
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(of_common.StackingMode.NORMAL))
    for pattern, dash in panel.dashes.items():
        style = {"fill": "dash", "dash": list(dash)}
        made.override_by_regexp(f"/^({pattern})$/", [_property("custom.lineStyle", style)])
    least, most = _reach(panel)
    if least is not None:
        made.axis_soft_min(least)
    if most is not None:
        made.axis_soft_max(most)
    return made


def _list() -> common.VizLegendOptions:
    made = common.VizLegendOptions().show_legend(True).display_mode(of_common.LegendDisplayMode.LIST)
    return made.placement(of_common.LegendPlacement.BOTTOM)


def _ranking() -> common.VizLegendOptions:
    made = common.VizLegendOptions().show_legend(True).display_mode(of_common.LegendDisplayMode.TABLE)
    made.placement(of_common.LegendPlacement.RIGHT).calcs([LAST])
    return made.sort_by("Last *").sort_desc(True)


def _reach(panel: Panel) -> tuple[float | None, float | None]:
    """Down to what and up to what the axis reaches at least, where the panel leaves it open.

    Grafana draws no line beyond the numbers' range, and of numbers that are all 0 it makes 0 to 100, be they shares.
    """
    first = panel.bounds[0].value if panel.bounds and panel.near else None
    if panel.most is not None:
        if first is None or panel.least is not None:
            return None, None
        return round(first - BEYOND * (panel.most - first), 10), None
    if first is not None and first > 0:
        return None, round(first * (1 + BEYOND), 10)
    return None, LEAST_SPANS.get(panel.unit) if panel.least == 0 else None


def _figure(panel: Panel) -> stat.Panel:
    made = stat.Panel().reduce_options(_last()).graph_mode(of_common.BigValueGraphMode.AREA)
    return made.color_mode(of_common.BigValueColorMode.VALUE)


def _bars(panel: Panel) -> bargauge.Panel:
    made = bargauge.Panel().reduce_options(_last()).orientation(of_common.VizOrientation.HORIZONTAL)
    made.color_scheme(dashboard.FieldColor().mode(of_dashboard.FieldColorModeId.FIXED).fixed_color(BLUE))
    return made.display_mode(of_common.BarGaugeDisplayMode.BASIC)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs([LAST]).values(False)


def _heatmap(panel: Panel) -> heatmap.Panel:
    made = heatmap.Panel().calculate(False).cell_gap(1)
    made.y_axis(heatmap.YAxisConfig().unit(panel.unit.value).axis_placement(of_common.AxisPlacement.LEFT))
    made.color(
        heatmap.HeatmapColorOptions()
        .mode(of_heatmap.HeatmapColorMode.SCHEME)
        .scheme("Oranges")
        .fill("dark-orange")
        .scale(of_heatmap.HeatmapColorScale.EXPONENTIAL)
        .exponent(0.5)
        .steps(64)
    )
    return made


def _table(panel: Panel) -> table.Panel:
    made = table.Panel().cell_options(of_common.TableAutoCellOptions())
    for label, address in panel.cell_links.items():
        links = [{"title": "Open", "url": address, "targetBlank": True}]
        made.override_by_name(label, [_property("links", links)])
    for label, colours in panel.cell_colours.items():
        made.override_by_name(label, [*_coloured_cells(), _property("mappings", [_colour_map(colours)])])
    for query in panel.queries:
        if properties := _column(query):
            made.override_by_name(query.legend, properties)
    for column, pixels in panel.cell_widths.items():
        made.override_by_name(column, [_property("custom.width", pixels)])
    if panel.sort_by:
        order = common.TableSortByFieldState().display_name(panel.sort_by.removeprefix("-"))
        made.sort_by([order.desc(panel.sort_by.startswith("-"))])
    names = {f"Value #{letter}": query.legend for letter, query in zip(LETTERS, panel.queries, strict=False)}
    if len(panel.queries) == 1:
        names["Value"] = panel.queries[0].legend
    options = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}
    made.with_transformation(of_dashboard.DataTransformerConfig(id_val="merge", options={}))
    return made.with_transformation(of_dashboard.DataTransformerConfig(id_val="organize", options=options))


def _column(query: Query) -> list[of_dashboard.DynamicConfigValue]:
    """What is other than in the panel's other columns."""
    found = [] if query.unit is None else [_property("unit", query.unit.value)]
    if query.bounds:
        steps = [{"value": None, "color": "text"}, *({"value": one.value, "color": one.colour} for one in query.bounds)]
        found.append(_property("thresholds", {"mode": "absolute", "steps": steps}))
        found.append(_property("custom.cellOptions", {"type": "color-text"}))
    return found


def _coloured_cells() -> list[of_dashboard.DynamicConfigValue]:
    return [_property("custom.cellOptions", {"type": "color-background", "mode": "basic"})]


def _colour_map(colours: Mapping[str, str]) -> dict[str, object]:
    options = {value: {"color": colour, "index": place} for place, (value, colour) in enumerate(colours.items())}
    return {"type": "value", "options": options}


def _states(panel: Panel) -> statetimeline.Panel:
    made = statetimeline.Panel().merge_values(True).show_value(of_common.VisibilityMode.AUTO).row_height(0.8)
    return made.fill_opacity(80).line_width(0)


_SHAPES: Mapping[Shape, Callable[[Panel], Drawn]] = {
    Shape.LINES: _lines,
    Shape.FIGURE: _figure,
    Shape.BARS: _bars,
    Shape.HEATMAP: _heatmap,
    Shape.TABLE: _table,
    Shape.STATES: _states,
}
