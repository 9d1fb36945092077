"""The page of a load run: the verdict and why, the targets, the figures and the pictures."""

from __future__ import annotations

import time

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ops.loadtest.recording import Measure
from ops.loadtest.reporting_document import Document
from ops.loadtest.reporting_terminal import milliseconds, reasons
from ops.report.load_charts import health_chart, time_chart
from ops.report.load_distributions import percentile_chart, server_chart

REASONS_MAX = 200
_MEASURES = (
    (Measure.LATENCY, "latency, from the intended start"),
    (Measure.SERVICE, "service time, from the sending"),
    (Measure.FIRST_TOKEN, "time to first token"),
    (Measure.TIME_PER_TOKEN, "time per output token (TPOT)"),
    (Measure.TOKEN_INTERVAL, "between events of a stream (ITL)"),
    (Measure.SEND_LAG, "send lag"),
)


def load_page(document: Document) -> str:
    """HTML without any outside reference."""
    environment = Environment(
        loader=PackageLoader("ops.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = lambda at: time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
    environment.filters["ms"] = milliseconds
    charts = (time_chart, percentile_chart, server_chart, health_chart)
    over_time, by_percentile, server, health = (Markup(draw(document)) for draw in charts)  # noqa: S704 - our own SVG
    return environment.get_template("load.html.j2").render(
        document=document,
        reasons=list(reasons(document, REASONS_MAX)),
        measures=_MEASURES,
        over_time=over_time,
        by_percentile=by_percentile,
        server=server,
        health=health,
    )
