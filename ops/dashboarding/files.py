"""Every generated dashboard, by its path in the repository."""

from __future__ import annotations

from pathlib import PurePath

from ops.alerting import rules
from ops.dashboarding.registry import dashboards
from ops.dashboarding.rendering import rendered, text
from ops.spec.model import Spec

DASHBOARDS = PurePath("dashboards")


def files(spec: Spec) -> dict[PurePath, str]:
    """Raises QueryError."""
    alerts = rules.alerts(spec)
    return {DASHBOARDS / f"{board.name}.json": text(rendered(board, spec, alerts)) for board in dashboards(spec)}
