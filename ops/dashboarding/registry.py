"""Every dashboard and panel of a spec. Panels whose exporter the spec does not name are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ops.alerting import rules
from ops.alerting.catalogue import Source
from ops.dashboarding import checking
from ops.dashboarding.boards import business, engines, gateway, infrastructure, overview, rollouts
from ops.dashboarding.model import Dashboard, Panel, Row
from ops.spec.model import Spec

BOARDS: tuple[Callable[[Spec], Dashboard], ...] = (
    overview.dashboard,
    gateway.dashboard,
    engines.dashboard,
    rollouts.dashboard,
    infrastructure.dashboard,
    business.dashboard,
)


def dashboards(spec: Spec) -> tuple[Dashboard, ...]:
    """Raises QueryError if a panel asks for what nothing exposes."""
    there = rules.sources(spec)
    recorded = recorded_names(spec)
    return tuple(_reduced(make(spec), there, recorded) for make in BOARDS)


def panels(spec: Spec) -> Mapping[tuple[str, str], Panel]:
    """By dashboard and key."""
    return {(board.name, panel.key): panel for board in dashboards(spec) for panel in board.panels}


def recorded_names(spec: Spec) -> frozenset[str]:
    """Series that the alerts' recording rules make."""
    made = rules.families(spec).values()
    return frozenset(rule.record for groups in made for group in groups for rule in group.recordings)


def _reduced(board: Dashboard, there: frozenset[Source], recorded: frozenset[str]) -> Dashboard:
    for panel in board.panels:
        for query in panel.queries:
            checking.check(query, recorded)
    rows = (
        Row(row.title, tuple(panel for panel in row.panels if checking.sources(panel) <= there)) for row in board.rows
    )
    return replace(
        board,
        sources=tuple(source for source in board.sources if source in there),
        rows=tuple(row for row in rows if row.panels),
    )
