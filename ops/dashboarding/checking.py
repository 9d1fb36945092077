"""A dashboard's queries against the catalogue: nothing is asked for that nobody exposes.

Names and matchers are held against ``ops.alerting.catalogue``, and so are the labels of ``by``, ``on`` and legends.
Grafana's variables are replaced by values of their kind before PromQL is parsed.
"""

from __future__ import annotations

import re
from functools import lru_cache

import promql_parser as promql

from ops.alerting import queries
from ops.alerting.catalogue import SCRAPE_LABELS, Source, by_series
from ops.alerting.queries import QueryError
from ops.dashboarding.model import Panel, Query

STAND_INS = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}
LEGEND_LABEL = re.compile(r"{{\s*(\w+)\s*}}")


def plain(expression: str, stand_ins: dict[str, str] | None = None) -> str:
    """Without Grafana's variables: as Prometheus understands it. Choices match everything."""
    for variable, value in (stand_ins or STAND_INS).items():
        expression = expression.replace(variable, value)
    return re.sub(r'=~"\$\w+"', '=~".*"', expression)


def sources(panel: Panel) -> frozenset[Source]:
    """Whose metrics a panel needs; those that every source exposes (``up``) count for none."""
    known = by_series()
    found: set[Source] = set()
    for query in panel.queries:
        for reading in queries.readings(plain(query.expression)):
            metrics = known.get(reading.name, ())
            if len(metrics) == 1:
                found.add(metrics[0].source)
    return frozenset(found)


def check(query: Query, recorded: frozenset[str]) -> None:
    """Raises QueryError unless names and labels are all known."""
    expression = plain(query.expression)
    queries.check(expression, recorded, frozenset(Source))
    read = queries.readings(expression)
    if any(reading.name in recorded for reading in read):
        return
    labels = {"le"} | SCRAPE_LABELS
    for reading in read:
        labels |= frozenset().union(*(metric.labels for metric in by_series()[reading.name]))
    named = _grouped(expression) | set(LEGEND_LABEL.findall(query.legend))
    if unknown := sorted(named - labels):
        raise QueryError(f"no metric read has the label {', '.join(unknown)}: {query.expression}")


@lru_cache(queries.EXPRESSIONS_KEPT_MAX)
def _grouped(expression: str) -> frozenset[str]:
    """The labels that aggregations keep and that operators match on."""
    found: set[str] = set()

    def visit(node: promql.Expr) -> None:
        modifier = getattr(node, "modifier", None)
        if isinstance(node, promql.AggregateExpr) and modifier is not None:
            found.update(modifier.labels)
        elif isinstance(node, promql.BinaryExpr) and modifier is not None and modifier.matching is not None:
            found.update(modifier.matching.labels)

    promql.walk(promql.parse(expression), visit)
    return frozenset(found)
