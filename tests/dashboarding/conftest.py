from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.adapters.spec_file import load_spec
from ops.alerting import rules
from ops.dashboarding.registry import dashboards
from ops.dashboarding.rendering import rendered
from ops.spec.model import Spec

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def spec() -> Spec:
    return load_spec(ROOT / "gratefulgpt.yaml")


@pytest.fixture(scope="session")
def boards(spec: Spec) -> dict[str, dict[str, Any]]:
    """Grafana's JSON by dashboard."""
    alerts = rules.alerts(spec)
    return {board.name: rendered(board, spec, alerts) for board in dashboards(spec)}
