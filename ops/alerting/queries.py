"""What a PromQL expression reads: names, label matchers, ranges. Parsed by ``promql-parser``, never by pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import promql_parser as promql

from ops.alerting.catalogue import SCRAPE_LABELS, Source, by_series

EXPRESSIONS_KEPT_MAX = 4096
"""Parsed once: rules and dashboards are read several times in one rendering."""


class QueryError(ValueError):
    """An expression that cannot be parsed, or that reads what nothing exposes. The message names the expression."""


@dataclass(frozen=True)
class Reading:
    """One selector of an expression."""

    name: str
    matchers: Mapping[str, str]
    """Label to value or pattern."""
    seconds: float | None
    """Of a range selector; None for an instant."""


@lru_cache(EXPRESSIONS_KEPT_MAX)
def readings(expression: str) -> tuple[Reading, ...]:
    """Every selector of the expression, in the order of reading. Raises QueryError."""
    found: list[Reading] = []
    ranges: list[float] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.MatrixSelector):
            ranges.append(node.range.total_seconds())
        elif isinstance(node, promql.VectorSelector):
            matchers = {one.name: one.value for one in node.matchers.matchers}
            name = node.name or matchers.pop("__name__", "")
            found.append(Reading(name, matchers, ranges.pop() if ranges else None))

    try:
        promql.walk(promql.parse(expression), visit)
    except ValueError as e:
        raise QueryError(f"{e}: {expression}") from e
    return tuple(found)


def check(expression: str, recorded: frozenset[str], sources: frozenset[Source]) -> None:
    """Raises QueryError unless all that it reads is recorded by a rule, or exposed by one of ``sources`` with the
    labels that its matchers name."""
    known = by_series()
    for reading in readings(expression):
        if reading.name in recorded:
            continue
        metrics = [metric for metric in known.get(reading.name, ()) if metric.source in sources]
        if not metrics:
            raise QueryError(f"nothing exposes {reading.name}: {expression}")
        labels = SCRAPE_LABELS.union(*(metric.labels for metric in metrics))
        if reading.name.endswith("_bucket"):
            labels |= {"le"}
        if unknown := sorted(set(reading.matchers) - labels):
            raise QueryError(f"{reading.name} has no label {', '.join(unknown)}: {expression}")
