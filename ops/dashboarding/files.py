"""Every generated dashboard, by its path in the repository."""

from __future__ import annotations

from pathlib import PurePath

from ops.alerting import rules
from ops.dashboarding.registry import dashboards
from ops.dashboarding.rendering import rendered, text
from ops.spec.model import Spec

DASHBOARDS = PurePath("dashboards")


def rendered_boards(spec: Spec) -> dict[str, dict[str, object]]:
    """Grafana's JSON by the dashboard's name. Raises QueryError."""
    alerts = rules.alerts(spec)
    return {board.name: rendered(board, spec, alerts) for board in dashboards(spec)}


def files(spec: Spec) -> dict[PurePath, str]:
    """Raises QueryError."""
    return {DASHBOARDS / f"{name}.json": text(content) for name, content in rendered_boards(spec).items()}
